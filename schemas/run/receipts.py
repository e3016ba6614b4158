"""What a purge leaves for whoever asked for it."""

from __future__ import annotations

from schemas.frozen import Record


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
