"""Passes over the committed samples of a run: what each finds, merged."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from distributed.execution.executor import Capacity, Executor, Observer, TaskLimits, Unobserved
from distributed.execution.local import LocalExecutor
from distributed.reduce.centring import shrunk_mean
from distributed.reduce.margins import Twins
from distributed.reduce.partial import Arrays, Partial, empty
from distributed.reduce.queries import (
    ComparedPeople,
    CutFiles,
    GatherQuery,
    MergeGroup,
    MergeQuery,
    Query,
    SearchQuery,
    ShardGroup,
    SumQuery,
    group_files,
    group_shards,
)
from distributed.reduce.reducer import Reducer, SampleTemplates, decode, merged_below
from distributed.runtime.device_memory import limit_device_memory
from distributed.stages.shards import require_none_lost
from distributed.statistics.similarity import Floats
from distributed.storage.shard_index import read_footers
from distributed.storage.store import RunStore
from schemas.run.artefacts import PARTIALS_PREFIX, SAMPLES_PREFIX
from schemas.run.shard import Shard, TemplateSum, plan_shards
from schemas.spec.audit import AuditSpec
from schemas.spec.resources import ResourcesSpec

GROUPS_PER_WORKER = 4
"""More groups even out the load; fewer write less."""

LEAST_SAMPLES_OF_A_GROUP = 16_384
"""Fewer are searched sooner than another actor has started."""

MERGED_AT_ONCE = 8
"""Files of partial results; more are first merged by the workers, so many into one."""

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
        limit_device_memory(self.device, self.resources)
        return Reducer(self.query)


def even_groups(shards: Sequence[Shard], query: Query, capacity: Capacity) -> list[ShardGroup]:
    """A few contiguous groups for each worker, of at least LEAST_SAMPLES_OF_A_GROUP samples."""
    enough = -(-sum(shard.rows for shard in shards) // LEAST_SAMPLES_OF_A_GROUP)
    return group_shards(shards, max(1, min(enough, GROUPS_PER_WORKER * capacity.workers)))


def unobserved() -> AbstractContextManager[Observer]:
    return nullcontext(Unobserved())


@dataclass(frozen=True)
class Passes:
    """The passes over one run's shards. Each gives the same bytes for any number of workers.

    watched: opens the observer of the long pass, the search of all samples, for as long as that lasts.

    All raise DamagedError for a shard that fails its checksums, ShardsLostError if a group cannot be reduced.
    """

    spec: AuditSpec
    store: RunStore
    executor: Executor
    watched: Callable[[], AbstractContextManager[Observer]] = unobserved
    grouping: Grouping = even_groups

    @classmethod
    def here(cls, spec: AuditSpec, store: RunStore, grouping: Grouping = even_groups) -> Passes:
        """In this process, unobserved."""
        return cls(spec, store, LocalExecutor(), grouping=grouping)

    def centres(self) -> dict[str, Floats]:
        """Recogniser -> what samples and people are taken relative to, float64 (d,): see `shrunk_mean`."""
        sums = self._written_sums() or self._computed_sums()
        return {name: shrunk_mean(parts) for name, parts in sums.items()}

    def _written_sums(self) -> dict[str, list[TemplateSum]] | None:
        """As the shards' footers say; None unless all do: 0.1 wrote none, and encrypted shards have none."""
        sizes, sums = self.store.sizes(SAMPLES_PREFIX), dict[str, list[TemplateSum]]()
        paths = [f"{SAMPLES_PREFIX}/{shard.file_name}" for shard in self._shards()]
        if not sizes.keys() >= set(paths):
            return None
        for footer in read_footers(self.store, {path: sizes[path] for path in paths}):
            if not footer.template_sums:
                return None
            for name, part in footer.template_sums.items():
                sums.setdefault(name, []).append(part)
        return sums

    def _computed_sums(self) -> dict[str, list[TemplateSum]]:
        capacity, sums = self._capacity(), dict[str, list[TemplateSum]]()
        query = SumQuery(self.spec, capacity.device, capacity.threads)
        with self._reduced(query, self._shards(), capacity) as parts:
            for arrays in (self._read(files[0]) for files in parts):
                for name in (recognizer.name for recognizer in self.spec.faces.recognizers):
                    part = TemplateSum(count=int(arrays[f"{name}/count"]), sum=tuple(arrays[f"{name}/sum"]))
                    sums.setdefault(name, []).append(part)
        return sums

    def search(
        self,
        people: Mapping[str, ComparedPeople],
        twins: Twins,
        cuts: tuple[int, ...],
        reference: AuditSpec | None = None,
    ) -> Iterator[dict[str, list[Partial]]]:
        """Of each cut in turn, recogniser -> of each level, what is found below it. reference: the run whose
        samples are searched, if not this one; its ids from the last cut on do not count."""
        source, capacity = self.spec if reference is None else reference, self._capacity()
        query = SearchQuery(self.spec, source, people, twins, cuts, capacity.device, capacity.threads)
        planned = plan_shards(source.samples, source.samples_per_shard)
        shards = [shard for shard in planned if shard.first_id < cuts[-1]]
        yield from self._joined_results(query, shards, capacity)

    def search_setting(
        self, people: Mapping[str, ComparedPeople], twins: Twins, settings: int, setting: int
    ) -> dict[str, list[Partial]]:
        """As `search`, among the samples of one of so many settings, without a cut."""
        capacity = self._capacity()
        cuts = (self.spec.samples,)
        query = SearchQuery(
            self.spec, self.spec, people, twins, cuts, capacity.device, capacity.threads, settings, setting
        )
        (partials,) = self._joined_results(query, self._shards(), capacity)
        return partials

    def _joined_results(
        self, query: SearchQuery, shards: Sequence[Shard], capacity: Capacity
    ) -> Iterator[dict[str, list[Partial]]]:
        topk = self.spec.membership.topk
        with self._reduced(query, shards, capacity) as files:
            while len(files) > MERGED_AT_ONCE:
                files = self._merged_by_workers(files, query)
            for merged in merged_below(files, len(query.cuts), self._read):
                yield {
                    name: [
                        merged.get(f"{name}/{level}") or empty(len(people), topk)
                        for level, people in enumerate(compared.levels)
                    ]
                    for name, compared in query.people.items()
                }

    def _merged_by_workers(self, files: Sequence[CutFiles], search: SearchQuery) -> list[CutFiles]:
        groups = group_files(files, MERGED_AT_ONCE, len(search.cuts))
        query = MergeQuery(self.spec, search.device, search.threads)
        lost = self.executor.run(PassJob(query), groups, Unobserved())
        require_none_lost(lost, PARTIALS_PREFIX, len(groups))
        return self._files(groups, len(search.cuts))

    def _files(self, groups: Sequence[ShardGroup | MergeGroup], cuts: int) -> list[CutFiles]:
        """What each group has left."""
        there = self.store.sizes(PARTIALS_PREFIX)
        return [
            {cut: group.file_name(cut) for cut in range(cuts) if group.file_name(cut) in there}
            for group in groups
        ]

    def gather(self, ids: Mapping[str, NDArray[np.int64]]) -> dict[str, SampleTemplates]:
        """Recogniser -> the templates of some samples; ids: rising."""
        if not any(map(len, ids.values())):
            nothing = SampleTemplates(np.empty(0, np.int64), np.empty((0, 0), np.float32))
            return dict.fromkeys(ids, nothing)
        capacity = self._capacity()
        query = GatherQuery(self.spec, dict(ids), capacity.device, capacity.threads)
        wanted = np.unique(np.concatenate([*ids.values(), np.empty(0, np.int64)]))
        shards = [shard for shard in self._shards() if _any_between(wanted, shard)]
        parts: dict[str, list[SampleTemplates]] = {name: [] for name in ids}
        with self._reduced(query, shards, capacity) as files:
            for arrays in (self._read(of_group[0]) for of_group in files):
                for name in ids:
                    rows = arrays[f"{name}/templates"].astype(np.float32)
                    parts[name].append(SampleTemplates(arrays[f"{name}/sample_id"], rows))
        return {name: _joined(levels) for name, levels in parts.items()}

    def _shards(self) -> list[Shard]:
        return plan_shards(self.spec.samples, self.spec.samples_per_shard)

    def _capacity(self) -> Capacity:
        return self.executor.capacity(self.spec.resources)

    @contextmanager
    def _reduced(self, query: Query, shards: Sequence[Shard], capacity: Capacity) -> Iterator[list[CutFiles]]:
        """Have all groups reduced; the names of their files, which are then deleted."""
        groups = self.grouping(shards, query, capacity)
        # The search of all samples is the long pass.
        is_long = isinstance(query, SearchQuery) and query.settings == 1
        with self.watched() if is_long else unobserved() as observer:
            observer.begin(0, sum(group.rows for group in groups))
            lost = self.executor.run(PassJob(query), groups, observer)
        require_none_lost(lost, PARTIALS_PREFIX, len(groups))
        yield self._files(groups, len(query.cuts) if isinstance(query, SearchQuery) else 1)
        self.store.delete_all(PARTIALS_PREFIX)

    def _read(self, file_name: str) -> Arrays:
        return decode(self.store.read_sealed(file_name))


def _joined(parts: Sequence[SampleTemplates]) -> SampleTemplates:
    return SampleTemplates(
        np.concatenate([part.sample_id for part in parts]), np.concatenate([part.templates for part in parts])
    )


def _any_between(ids: NDArray[np.int64], shard: Shard) -> bool:
    first, stop = np.searchsorted(ids, [shard.first_id, shard.stop_id])
    return bool(first < stop)
