"""`run.json`: which spec a run's folder belongs to."""

from __future__ import annotations

from schemas.frozen import Record
from schemas.spec.audit import AuditSpec


class RunRecord(Record):
    """The spec with absolute paths, and the fields of its samples' fingerprint."""

    spec: AuditSpec
    fingerprint: dict[str, str]
