"""`trail/*.json`: the audit log of a run, one file an entry."""

from __future__ import annotations

from pydantic import JsonValue

from schemas.frozen import Record


class TrailEntry(Record):
    """One entry of the audit log. before: sha256 of the previous entry's file; empty in the first one."""

    number: int
    when: str
    who: str
    action: str
    what: dict[str, JsonValue]
    before: str
    signature: str | None = None

    @property
    def unsigned(self) -> bytes:
        """What the signature is of."""
        return self.model_dump_json(exclude={"signature"}).encode()
