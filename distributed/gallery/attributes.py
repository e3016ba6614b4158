"""Attributes of identities, such as a group they belong to: strata for the calibration."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from distributed.storage.vault import Vault
from schemas.errors import SpecError
from schemas.spec.audit import AuditSpec
from schemas.spec.membership import QUALITY


def read_attributes(spec: AuditSpec) -> dict[str, dict[str, str]]:
    """Column -> pseudonym -> value, for the columns that `membership.strata` names besides `quality`.

    Raises SpecError unless `gallery.attributes` is a CSV with the columns `identity` and those.
    """
    columns = [name for name in spec.membership.strata if name != QUALITY]
    if not columns:
        return {}
    assert spec.gallery.attributes is not None, "the spec's validators demand it"
    rows = _rows(Path(spec.gallery.attributes), ["identity", *columns])
    people = [Vault(spec.protection).identity_pseudonym(row["identity"]) for row in rows]
    return {
        name: {person: row[name] or "unknown" for person, row in zip(people, rows, strict=True)}
        for name in columns
    }


def _rows(path: Path, needed: Sequence[str]) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            missing = set(needed) - set(reader.fieldnames or ())
            if missing:
                raise SpecError(f"{path} has no column {min(missing)!r}; membership.strata needs it")
            return list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SpecError(f"cannot read the attributes {path}: {error}; correct gallery.attributes") from error
