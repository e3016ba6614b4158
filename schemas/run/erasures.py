"""`erasures.json`, `tombstone.json` and receipts: who was erased from a run, and that all of it was."""

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


class Receipt(Record):
    """identity: pseudonym of the person who was erased; null if the whole run was. deleted: files and their
    bytes. rewritten: files that no longer hold anything of the person. trail: sha256 of the trail's last
    entry. signature: HMAC-SHA256 of all else under the run's key; null where that was not available."""

    run: str
    when: str
    who: str
    identity: str | None
    deleted: dict[str, int]
    rewritten: list[str]
    trail: str
    signature: str | None = None

    @property
    def unsigned(self) -> bytes:
        """What the signature is of."""
        return self.model_dump_json(exclude={"signature"}).encode()
