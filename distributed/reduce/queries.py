"""What is asked of the samples of a run, and how its shards are cut into tasks. A pass answers one query."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from distributed.reduce.margins import Twins
from distributed.statistics.similarity import Floats, Singles
from schemas.run.artefacts import PARTIALS_PREFIX
from schemas.run.shard import Shard
from schemas.spec.audit import AuditSpec


@dataclass(frozen=True)
class ComparedPeople:
    """People as one recogniser's samples are compared with them.

    centre: float64 (d,), what samples are taken relative to. levels: for each number of photos of the frame,
    float32 (P, d), from `people.fused` by the same centre. thresholds: for each level, the similarity of a
    hit; None if hits are not counted.
    """

    centre: Floats
    levels: Sequence[Singles]
    thresholds: Sequence[float | None]


@dataclass(frozen=True)
class SearchQuery:
    """Compare all people with all samples.

    samples: the run whose shards are searched, this one or a reference generator's. people: by
    recogniser. cuts: rising sample ids; what is found below each is reported. settings and
    setting: only samples whose id is `setting` modulo `settings` count.
    """

    spec: AuditSpec
    samples: AuditSpec
    people: Mapping[str, ComparedPeople]
    twins: Twins
    cuts: tuple[int, ...]
    device: str
    threads: int
    settings: int = 1
    setting: int = 0


@dataclass(frozen=True)
class GatherQuery:
    """Fetch the templates of some samples. ids: recogniser name -> sample ids, rising."""

    spec: AuditSpec
    ids: Mapping[str, NDArray[np.int64]]
    device: str
    threads: int


@dataclass(frozen=True)
class SumQuery:
    """Sum the templates of all samples, for their mean."""

    spec: AuditSpec
    device: str
    threads: int


@dataclass(frozen=True)
class MergeQuery:
    """Merge files of partial results of a search into fewer."""

    spec: AuditSpec
    device: str
    threads: int


Query = SearchQuery | GatherQuery | SumQuery | MergeQuery


@dataclass(frozen=True)
class ShardGroup:
    """Shards that one task of a pass reduces. A late attempt of another pass writes elsewhere."""

    index: int
    shards: tuple[Shard, ...]
    pass_id: str

    def file_name(self, cut: int = 0) -> str:
        """Of what is found below a cut."""
        return _file_name(self.pass_id, self.index, cut)

    @property
    def rows(self) -> int:
        return sum(shard.rows for shard in self.shards)


CutFiles = Mapping[int, str]
"""Cut -> the file of what a group has found below it: only of cuts below which more is found than below the
one before."""


@dataclass(frozen=True)
class MergeGroup:
    """Files of several groups, of a search with so many cuts, that one task merges."""

    index: int
    files: tuple[CutFiles, ...]
    cuts: int
    pass_id: str

    def file_name(self, cut: int = 0) -> str:
        """Of what is found below a cut."""
        return _file_name(self.pass_id, self.index, cut)


def _file_name(pass_id: str, index: int, cut: int) -> str:
    return f"{PARTIALS_PREFIX}/{pass_id}-{index:06d}-{cut:02d}.npz"


def group_shards(shards: Sequence[Shard], groups: int) -> list[ShardGroup]:
    """Cut the shards into at most `groups` contiguous groups of nearly equal size."""
    cuts, pass_id = np.array_split(np.arange(len(shards)), min(groups, len(shards))), uuid4().hex
    return [ShardGroup(index, tuple(shards[i] for i in cut), pass_id) for index, cut in enumerate(cuts)]


def group_files(files: Sequence[CutFiles], at_once: int, cuts: int) -> list[MergeGroup]:
    """Cut the groups' files into contiguous groups of `at_once`, the last one of fewer."""
    starts, pass_id = range(0, len(files), at_once), uuid4().hex
    return [
        MergeGroup(index, tuple(files[start : start + at_once]), cuts, pass_id)
        for index, start in enumerate(starts)
    ]
