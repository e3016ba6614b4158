"""Shards: contiguous ranges of ids, the unit of work and of resuming."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from schemas.run.tables import SCHEMA_VERSION


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


class Footer(BaseModel):
    """What a Parquet file of the run says of itself, as JSON in its metadata under `idleak`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: int = SCHEMA_VERSION
    table: str
    fingerprint: dict[str, str]
    first_id: int = 0
    stop_id: int
    rows: int
    outcomes: dict[str, int] = {}
    device: str = "cpu"
    threads_per_worker: int = 1
    encrypted_under: str | None = None


def count_outcomes(reports: Sequence[Mapping[str, int]]) -> dict[str, int]:
    """Sum outcome counts."""
    names = sorted({name for report in reports for name in report})
    return {name: sum(report.get(name, 0) for report in reports) for name in names}
