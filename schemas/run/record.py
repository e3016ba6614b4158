"""`run.json`: which spec a run's folder belongs to."""

from __future__ import annotations

from pydantic import model_validator

from schemas.frozen import Record
from schemas.spec.audit import AuditSpec


class RunRecord(Record):
    """The spec with absolute paths, the fields of its samples' fingerprint, what the sources of people and
    of samples inferred and left out, and what was inferred of the models of faces, in sentences that name
    nobody.

    version: of the idleak that began the run; empty before 0.2."""

    version: str = ""
    spec: AuditSpec
    fingerprint: dict[str, str]
    gallery: tuple[str, ...] = ()
    generator: tuple[str, ...] = ()
    faces: tuple[str, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _of_earlier_versions(cls, data: object) -> object:
        """Up to 0.1 there was no `faces.detector.search`, and samples were searched as `all` does."""
        match data:
            case {"spec": {"faces": {"detector": dict(detector)}}}:
                detector.setdefault("search", "all")
        return data
