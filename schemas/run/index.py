"""`samples.json`: what the footers of all shards said, so that they need not be read again."""

from __future__ import annotations

from schemas.frozen import Record


class ShardIndex(Record):
    """What the footers of all shards said, and a digest of the listing that they were in."""

    fingerprint_sha256: str
    stop_id: int
    listing_sha256: str
    outcomes: dict[str, int]
