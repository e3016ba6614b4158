"""Shards: contiguous ranges of ids, the unit of work and of resuming."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from schemas.frozen import Record
from schemas.run.tables import SCHEMA_VERSION

BATCH_IMAGES = 32
"""Images that a worker holds at once, if memory suffices."""


class ShardIndex(Record):
    """`samples.json`: what the footers of all shards said, so that they need not be read again, and a digest
    of the listing that they were in."""

    fingerprint_sha256: str
    stop_id: int
    listing_sha256: str
    outcomes: dict[str, int]


@dataclass(frozen=True)
class Shard:
    """The ids `first_id <= id < stop_id`."""

    index: int
    first_id: int
    stop_id: int

    @property
    def rows(self) -> int:
        return self.stop_id - self.first_id

    @property
    def ids(self) -> NDArray[np.int64]:
        return np.arange(self.first_id, self.stop_id, dtype=np.int64)

    @property
    def file_name(self) -> str:
        return f"shard-{self.index:06d}.parquet"


def plan_shards(samples: int, shard_size: int) -> list[Shard]:
    """Cut the ids `0 … samples - 1` into shards of `shard_size`; the last one may be shorter."""
    starts = range(0, samples, shard_size)
    return [Shard(index, start, min(start + shard_size, samples)) for index, start in enumerate(starts)]


@dataclass(frozen=True)
class ShardReport:
    """What an actor tells the driver of a finished shard. Never arrays.

    batches: recogniser name -> crops that it takes at once. images_at_once: fewer where memory ran out.
    """

    index: int
    rows: int
    outcomes: Mapping[str, int]
    bytes_written: int
    seconds: Mapping[str, float] = field(default_factory=dict)
    invalid_example: str | None = None
    batches: Mapping[str, int] = field(default_factory=dict)
    images_at_once: int | None = None


@dataclass(frozen=True)
class LostShard:
    """A shard that was not made, with the reason of its last attempt."""

    index: int
    attempts: int
    reason: str


class TemplateSum(Record):
    """The sum of a shard's stored templates of one recogniser, d numbers, exact, and how many they are.

    Stored values are float16 of unit vectors, multiples of 2^-24 and at most 1, so a float64 sum of up to
    2^29 of them is exact, in whatever order.
    """

    count: int
    sum: tuple[float, ...]


class Footer(Record):
    """What a Parquet file of the run says of itself, as JSON in its metadata under `idleak`.

    template_sums: by recogniser, of a shard of samples whose templates are not encrypted.
    """

    schema_version: int = SCHEMA_VERSION
    table: str
    fingerprint: dict[str, str]
    first_id: int = 0
    stop_id: int
    rows: int
    outcomes: dict[str, int] = Field(default_factory=dict)
    template_sums: dict[str, TemplateSum] = Field(default_factory=dict)
    device: str = "cpu"
    threads_per_worker: int = 1
    encrypted_under: str | None = None


def count_outcomes(reports: Sequence[Mapping[str, int]]) -> dict[str, int]:
    """Sum outcome counts."""
    names = sorted({name for report in reports for name in report})
    return {name: sum(report.get(name, 0) for report in reports) for name in names}
