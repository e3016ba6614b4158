"""Passes over the committed samples of a run: what each finds for its gallery, merged."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from distributed.execution.capacity import Capacity
from distributed.execution.executor import Executor, Observer, TaskLimits, Unobserved
from distributed.reduce.neighbours import Partial, merge
from distributed.reduce.reducer import (
    Arrays,
    GatherQuery,
    Query,
    Reducer,
    SampleTemplates,
    SearchQuery,
    ShardGroup,
    SupportQuery,
    decode,
    group_shards,
    partial_of,
)
from distributed.stages.shards import require_none_lost
from distributed.storage.store import RunStore
from schemas.run.artefacts import PARTIALS_PREFIX
from schemas.run.shard import Shard, plan_shards
from schemas.spec.audit import AuditSpec
from schemas.spec.resources import ResourcesSpec

GROUPS_PER_WORKER = 4
"""More groups even out the load; fewer write less."""

LEAST_SAMPLES_OF_A_GROUP = 16_384
"""Fewer are searched sooner than another actor has started."""

Grouping = Callable[[Sequence[Shard], Query, Capacity], list[ShardGroup]]
"""How the shards of a pass are cut into tasks. No cut changes what is found."""


@dataclass(frozen=True)
class PassJob:
    """One pass as an executor takes it: its query, which opens to a reducer."""

    query: Query

    @property
    def device(self) -> str:
        return self.query.device

    @property
    def threads(self) -> int:
        return self.query.threads

    @property
    def resources(self) -> ResourcesSpec:
        return self.query.spec.resources

    @property
    def limits(self) -> TaskLimits:
        return TaskLimits(light=True)

    def open(self) -> Reducer:
        return Reducer(self.query)


def even_groups(shards: Sequence[Shard], query: Query, capacity: Capacity) -> list[ShardGroup]:
    """A few contiguous groups for each worker, of at least LEAST_SAMPLES_OF_A_GROUP samples."""
    enough = -(-sum(shard.rows for shard in shards) // LEAST_SAMPLES_OF_A_GROUP)
    return group_shards(shards, max(1, min(enough, GROUPS_PER_WORKER * capacity.workers)))


@dataclass(frozen=True)
class Passes:
    """The passes over one run's shards. Each gives the same bytes for any number of workers.

    All raise DamagedError for a shard that fails its checksums, ShardsLostError if a group cannot be reduced.
    left_out: people of the gallery who are not compared.
    """

    spec: AuditSpec
    store: RunStore
    executor: Executor
    observer: Observer
    grouping: Grouping = even_groups
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
        query = SearchQuery(
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
        return self._merged(query, shards, capacity)

    def search_setting(
        self, thresholds: Mapping[str, float], levels: tuple[int, ...], settings: int, setting: int
    ) -> dict[str, Partial]:
        """Recogniser -> what is found among the samples of one of so many settings."""
        capacity = self._capacity()
        query = SearchQuery(
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
        return {name: partials[0] for name, partials in self._merged(query, self._shards(), capacity).items()}

    def _merged(
        self, query: SearchQuery, shards: Sequence[Shard], capacity: Capacity
    ) -> dict[str, list[Partial]]:
        merged: dict[str, list[Partial]] = {}
        with self._reduced(query, shards, capacity) as parts:
            for arrays in parts:
                for name in query.thresholds:
                    partials = [partial_of(arrays, f"{name}/{place}") for place in range(len(query.cuts))]
                    before = merged.get(name)
                    merged[name] = partials if before is None else list(map(merge, before, partials))
        return merged

    def gather(self, ids: Mapping[str, NDArray[np.int64]]) -> dict[str, SampleTemplates]:
        """Recogniser -> the templates of some samples; ids: rising."""
        capacity = self._capacity()
        query = GatherQuery(self.spec, dict(ids), capacity.device, capacity.threads)
        wanted = np.unique(np.concatenate([*ids.values(), np.empty(0, np.int64)]))
        shards = [shard for shard in self._shards() if _any_between(wanted, shard)]
        parts: dict[str, list[SampleTemplates]] = {name: [] for name in ids}
        with self._reduced(query, shards, capacity) as reduced:
            for arrays in reduced:
                for name in ids:
                    rows = arrays[f"{name}/templates"].astype(np.float32)
                    parts[name].append(SampleTemplates(arrays[f"{name}/sample_id"], rows))
        return {name: _joined(found_parts) for name, found_parts in parts.items()}

    def support(
        self, people: NDArray[np.int64], thresholds: Mapping[str, float], levels: tuple[int, ...]
    ) -> dict[str, Partial]:
        """Recogniser -> what is found for the photos of `people` among the samples that support each."""
        capacity = self._capacity()
        query = SupportQuery(
            self.spec, people, dict(thresholds), levels, capacity.device, capacity.threads, self.left_out
        )
        merged: dict[str, Partial] = {}
        with self._reduced(query, self._shards(), capacity) as parts:
            for arrays in parts:
                for name in thresholds:
                    partial = partial_of(arrays, f"{name}/0")
                    merged[name] = merge(merged[name], partial) if name in merged else partial
        return merged

    def _shards(self) -> list[Shard]:
        return plan_shards(self.spec.samples, self.spec.shard_size)

    def _capacity(self) -> Capacity:
        return self.executor.capacity(self.spec.resources)

    @contextmanager
    def _reduced(
        self, query: Query, shards: Sequence[Shard], capacity: Capacity
    ) -> Iterator[Iterator[Arrays]]:
        """Have all groups reduced; their files one by one, which are then deleted."""
        groups = self.grouping(shards, query, capacity)
        observer: Observer = Unobserved()
        if isinstance(query, SearchQuery) and query.settings == 1:
            # The search of all samples is the long pass.
            observer = self.observer
            observer.begin(0, sum(shard.rows for group in groups for shard in group.shards))
        lost = self.executor.run(PassJob(query), groups, observer)
        require_none_lost(lost, PARTIALS_PREFIX, len(groups))
        yield (self._read(group) for group in groups)
        self.store.delete_all(PARTIALS_PREFIX)

    def _read(self, group: ShardGroup) -> Arrays:
        return decode(self.store.read_sealed(group.file_name))


def _joined(parts: Sequence[SampleTemplates]) -> SampleTemplates:
    return SampleTemplates(
        np.concatenate([part.sample_id for part in parts]), np.concatenate([part.templates for part in parts])
    )


def _any_between(ids: NDArray[np.int64], shard: Shard) -> bool:
    first, stop = np.searchsorted(ids, [shard.first_id, shard.stop_id])
    return bool(first < stop)
