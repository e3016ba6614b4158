"""`run.json`: which spec a run's folder belongs to."""

from __future__ import annotations

from schemas.frozen import Record
from schemas.spec.audit import AuditSpec


class RunRecord(Record):
    """The spec with absolute paths, the fields of its samples' fingerprint, and what the sources of people
    inferred and left out, in sentences that name nobody."""

    spec: AuditSpec
    fingerprint: dict[str, str]
    gallery: tuple[str, ...] = ()
