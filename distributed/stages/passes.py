"""Reduce the committed samples of a run against its gallery, in one pass or more over its shards."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from distributed.execution.cluster import Capacity, Cluster
from distributed.execution.pool import run_tasks
from distributed.execution.workers import ReduceWorker, spawn
from distributed.reduce.neighbours import Partial, merge
from distributed.reduce.reducer import (
    Arrays,
    GatherJob,
    Job,
    ReduceMaker,
    SearchJob,
    ShardGroup,
    SupportJob,
    decode,
    group_shards,
    partial_of,
)
from distributed.stages.shards import require_none_lost
from distributed.storage.store import RunStore
from schemas.events import WorkEvent
from schemas.run.artefacts import PARTIALS_PREFIX
from schemas.run.shard import Shard, ShardReport, plan_shards
from schemas.spec.audit import AuditSpec

GROUPS_PER_WORKER = 4
"""More groups even out the load; fewer write less."""

LEAST_SAMPLES_OF_A_GROUP = 16_384
"""Fewer are searched sooner than another actor has started."""

OnReport = Callable[[ShardReport], None]


@dataclass(frozen=True)
class SampleTemplates:
    """Templates (n, d), float32, of the sample ids (n,), rising."""

    sample_id: NDArray[np.int64]
    templates: NDArray[np.float32]


@dataclass(frozen=True)
class ReduceRun:
    """The passes over one run's shards. Each gives the same bytes for any number of workers.

    All raise DamagedError for a shard that fails its checksums, ShardsLostError if a group cannot be reduced.
    on_pass: called with the number of samples before each pass that shows its progress. left_out: people of
    the gallery who are not compared.
    """

    spec: AuditSpec
    store: RunStore
    cluster: Cluster
    on_report: OnReport
    on_event: Callable[[WorkEvent], None] = lambda event: None
    on_pass: Callable[[int], None] = lambda samples: None
    left_out: tuple[str, ...] = ()

    def search(
        self,
        thresholds: Mapping[str, float],
        levels: tuple[int, ...],
        cuts: tuple[int, ...],
        reference: AuditSpec | None = None,
    ) -> dict[str, list[Partial]]:
        """Recogniser -> what is found below each cut. reference: the run whose samples are searched, if not
        this one; its ids from the last cut on do not count."""
        source = self.spec if reference is None else reference
        capacity = self._capacity()
        job = SearchJob(
            self.spec,
            source,
            dict(thresholds),
            levels,
            cuts,
            capacity.device,
            capacity.threads,
            left_out=self.left_out,
        )
        planned = plan_shards(source.samples, source.shard_size)
        shards = [shard for shard in planned if shard.first_id < cuts[-1]]
        return self._merged(job, shards, capacity)

    def search_setting(
        self, thresholds: Mapping[str, float], levels: tuple[int, ...], settings: int, setting: int
    ) -> dict[str, Partial]:
        """Recogniser -> what is found among the samples of one of so many settings."""
        capacity = self._capacity()
        job = SearchJob(
            self.spec,
            self.spec,
            dict(thresholds),
            levels,
            (self.spec.samples,),
            capacity.device,
            capacity.threads,
            settings,
            setting,
            self.left_out,
        )
        return {name: found[0] for name, found in self._merged(job, self._shards(), capacity).items()}

    def _merged(
        self, job: SearchJob, shards: Sequence[Shard], capacity: Capacity
    ) -> dict[str, list[Partial]]:
        merged: dict[str, list[Partial]] = {}
        with self._reduced(job, shards, capacity) as parts:
            for arrays in parts:
                for name in job.thresholds:
                    found = [partial_of(arrays, f"{name}/{place}") for place in range(len(job.cuts))]
                    before = merged.get(name)
                    merged[name] = found if before is None else list(map(merge, before, found))
        return merged

    def gather(self, ids: Mapping[str, NDArray[np.int64]]) -> dict[str, SampleTemplates]:
        """Recogniser -> the templates of some samples; ids: rising."""
        capacity = self._capacity()
        job = GatherJob(self.spec, dict(ids), capacity.device, capacity.threads)
        wanted = np.unique(np.concatenate([*ids.values(), np.empty(0, np.int64)]))
        shards = [shard for shard in self._shards() if _any_between(wanted, shard)]
        parts: dict[str, list[SampleTemplates]] = {name: [] for name in ids}
        with self._reduced(job, shards, capacity) as found:
            for arrays in found:
                for name in ids:
                    rows = arrays[f"{name}/templates"].astype(np.float32)
                    parts[name].append(SampleTemplates(arrays[f"{name}/sample_id"], rows))
        return {name: _joined(found_parts) for name, found_parts in parts.items()}

    def support(
        self, people: NDArray[np.int64], thresholds: Mapping[str, float], levels: tuple[int, ...]
    ) -> dict[str, Partial]:
        """Recogniser -> what is found for the photos of `people` among the samples that support each."""
        capacity = self._capacity()
        job = SupportJob(
            self.spec, people, dict(thresholds), levels, capacity.device, capacity.threads, self.left_out
        )
        merged: dict[str, Partial] = {}
        with self._reduced(job, self._shards(), capacity) as parts:
            for arrays in parts:
                for name in thresholds:
                    one = partial_of(arrays, f"{name}/0")
                    merged[name] = merge(merged[name], one) if name in merged else one
        return merged

    def _shards(self) -> list[Shard]:
        return plan_shards(self.spec.samples, self.spec.shard_size)

    def _capacity(self) -> Capacity:
        return self.cluster.capacity(self.spec.resources)

    @contextmanager
    def _reduced(self, job: Job, shards: Sequence[Shard], capacity: Capacity) -> Iterator[Iterator[Arrays]]:
        """Have all groups reduced; their files one by one, which are then deleted."""
        enough = -(-sum(shard.rows for shard in shards) // LEAST_SAMPLES_OF_A_GROUP)
        groups = group_shards(shards, max(1, min(enough, GROUPS_PER_WORKER * capacity.workers)))
        self._reduce(job, groups, capacity)
        yield (self._read(group) for group in groups)
        for path in self.store.sizes(PARTIALS_PREFIX):
            self.store.delete(path)

    def _reduce(self, job: Job, groups: Sequence[ShardGroup], capacity: Capacity) -> None:
        shown = isinstance(job, SearchJob) and job.settings == 1
        report = self.on_report if shown else _ignore
        if shown:
            self.on_pass(sum(shard.rows for group in groups for shard in group.shards))
        if len(groups) == 1 and capacity.device == "cpu":
            # An actor would take longer to start than the work takes.
            report(ReduceMaker(job).make(groups[0]))
            return
        actor = partial(spawn, ReduceWorker, job)
        resources = self.spec.resources
        room = self.cluster.room(resources, capacity)
        lost = run_tasks(
            groups,
            actor,
            workers=room,
            on_report=report,
            on_event=self.on_event,
            room_seconds=resources.wait_seconds,
        )
        require_none_lost(lost, PARTIALS_PREFIX, len(groups))

    def _read(self, group: ShardGroup) -> Arrays:
        return decode(self.store.read_sealed(group.file_name))


def _ignore(report: ShardReport) -> None:
    """Only the search of all samples shows its progress: it is the long pass."""


def _joined(parts: Sequence[SampleTemplates]) -> SampleTemplates:
    return SampleTemplates(
        np.concatenate([part.sample_id for part in parts]), np.concatenate([part.templates for part in parts])
    )


def _any_between(ids: NDArray[np.int64], shard: Shard) -> bool:
    first, stop = np.searchsorted(ids, [shard.first_id, shard.stop_id])
    return bool(first < stop)
