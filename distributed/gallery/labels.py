"""Labels: which candidates are members of the training data. For evaluation only, never read by scoring."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from distributed.gallery.enrolled import accepted
from distributed.sampling.templates.text_tables import read_table
from distributed.storage.vault import Vault
from schemas.errors import SpecError
from schemas.run.tables import Role
from schemas.spec.audit import AuditSpec

COLUMNS = ("identity", "member")
MEMBER = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}


def read_labels(path: Path, vault: Vault) -> dict[str, bool]:
    """Pseudonym -> member. Raises SpecError unless the file is a table with the columns `identity` and
    `member`, and every member is one of MEMBER, in whatever case."""
    table = read_table(path, key="gallery.labels")
    if missing := [name for name in COLUMNS if table.place(name) is None]:
        raise SpecError(
            f"{path} must begin with the line identity,member, not {list(table.columns)}: no {missing[0]}"
        )
    rows = zip(table.column("identity"), table.column("member"), table.lines, strict=True)
    labels: dict[str, bool] = {}
    for name, value, line in rows:
        person, member = vault.identity_pseudonym(name), _member(value, path, line)
        if labels.setdefault(person, member) != member:
            raise SpecError(f"{path}, line {line}: says another thing of a person than a line before")
    return labels


def labels_of(spec: AuditSpec) -> dict[str, bool] | None:
    """Those that the spec names; None if it names none. Raises as `read_labels`."""
    path = spec.gallery.labels
    return None if path is None else read_labels(Path(path), Vault(spec.protection))


def require_usable_labels(spec: AuditSpec, gallery: pa.Table) -> None:
    """Raise SpecError, before the long work, if the spec's labels cannot serve to evaluate its verdicts."""
    candidates = accepted(gallery.filter(pc.equal(gallery["role"], Role.CANDIDATE)))
    require_labels_of(spec, candidates["identity"].to_pylist())


def require_labels_of(spec: AuditSpec, candidates: Iterable[str]) -> None:
    """The same of these candidates, by pseudonym, whether or not they are enrolled yet."""
    labels = labels_of(spec)
    if labels is None:
        return
    known = [labels[name] for name in set(candidates) if name in labels]
    if len(set(known)) < 2:
        raise SpecError(
            f"{spec.gallery.labels} labels {sum(known)} candidates as members and "
            f"{len(known) - sum(known)} as others; an evaluation needs both: correct it, or leave it out"
        )


def _member(value: str, path: Path, line: int) -> bool:
    if value.casefold() not in MEMBER:
        raise SpecError(f"{path}, line {line}: member must be 0 or 1, or yes or no, not {value!r}")
    return MEMBER[value.casefold()]
