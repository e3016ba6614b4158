"""Labels: which candidates are members of the training data. For evaluation only, never read by scoring."""

from __future__ import annotations

import csv
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from distributed.gallery.enrolled import accepted
from distributed.storage.vault import Vault
from schemas.errors import SpecError
from schemas.run.tables import Role
from schemas.spec.audit import AuditSpec

COLUMNS = ["identity", "member"]


def read_labels(path: Path, vault: Vault) -> dict[str, bool]:
    """Pseudonym -> member. Raises SpecError unless the file is a CSV `identity,member` with 0 or 1."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            if reader.fieldnames != COLUMNS:
                raise SpecError(f"{path} must begin with the line identity,member, not {reader.fieldnames}")
            return {
                vault.identity_pseudonym(row["identity"]): _member(row["member"], path, reader.line_num)
                for row in reader
            }
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SpecError(f"cannot read the labels {path}: {error}; correct gallery.labels") from error


def require_usable_labels(spec: AuditSpec, gallery: pa.Table) -> None:
    """Raise SpecError, before the long work, if the spec's labels cannot serve to evaluate its verdicts."""
    if spec.gallery.labels is None:
        return
    labels = read_labels(Path(spec.gallery.labels), Vault(spec.protection))
    candidates = accepted(gallery.filter(pc.equal(gallery["role"], Role.CANDIDATE)))
    known = [labels[name] for name in set(candidates["identity"].to_pylist()) if name in labels]
    if len(set(known)) < 2:
        raise SpecError(
            f"{spec.gallery.labels} labels {sum(known)} candidates as members and "
            f"{len(known) - sum(known)} as others; an evaluation needs both: correct it, or leave it out"
        )


def _member(value: str | None, path: Path, line: int) -> bool:
    if value not in ("0", "1"):
        raise SpecError(f"{path}, line {line}: member must be 0 or 1, not {value!r}")
    return value == "1"
