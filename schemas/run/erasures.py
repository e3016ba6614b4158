"""`erasures.json` and `tombstone.json`: who was erased from a run, and that all of it was."""

from __future__ import annotations

from schemas.frozen import Record


class Erasure(Record):
    """One person, by pseudonym, and when."""

    identity: str
    erased: str


class Erasures(Record):
    """All people who were erased from a run."""

    people: tuple[Erasure, ...] = ()


class Tombstone(Record):
    """files and bytes: how many were deleted. trail: sha256 of the last entry of the trail, then."""

    run: str
    purged: str
    who: str
    files: int
    bytes: int
    trail: str
