"""From committed shards to partial results. What a reducing actor does; knows nothing of Ray."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Any, Protocol

import faiss
import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from distributed.gallery.enrolled import template_rows
from distributed.reduce.centring import centred, template_sum
from distributed.reduce.partial import Arrays, Partial, merge, partial_arrays, partial_of
from distributed.reduce.queries import CutFiles, GatherQuery, MergeGroup, Query, SearchQuery, ShardGroup
from distributed.reduce.search import PeopleSearch
from distributed.storage.store import open_run
from schemas.run.artefacts import SAMPLES_PREFIX
from schemas.run.shard import Shard, ShardReport
from schemas.run.tables import template_column


@dataclass(frozen=True)
class ShardTemplates:
    """A shard's samples that have a template of one recogniser: ids (n,), rising, and templates (n, d)."""

    recognizer: str
    sample_id: NDArray[np.int64]
    templates: NDArray[np.float32]

    def __getitem__(self, rows: NDArray[Any]) -> ShardTemplates:
        return replace(self, sample_id=self.sample_id[rows], templates=self.templates[rows])


@dataclass(frozen=True)
class SampleTemplates:
    """Templates (n, d), float32, of the sample ids (n,), rising."""

    sample_id: NDArray[np.int64]
    templates: NDArray[np.float32]


class Finder(Protocol):
    """One kind of reduction: what it makes of the templates of a group's shards."""

    def find(self, templates: Iterator[ShardTemplates]) -> Iterator[tuple[int, Arrays]]:
        """What is found below each cut; all that is found, as of cut 0, by what knows no cuts."""


class Reducer:
    """Answers a query for groups of shards; memory is O(people × k), or what is fetched, and one shard."""

    def __init__(self, query: Query) -> None:
        faiss.omp_set_num_threads(query.threads)
        threadpool_limits(query.threads, "blas")
        self._names = [recognizer.name for recognizer in query.spec.faces.recognizers]
        self._store = open_run(query.spec)
        self._samples = open_run(query.samples) if isinstance(query, SearchQuery) else self._store
        self._finder = _finder(query)

    def start(self, group: ShardGroup | MergeGroup) -> Future[ShardReport]:
        """As `make`: a partial result is written before the next one is begun."""
        future: Future[ShardReport] = Future()
        future.set_result(self.make(group))
        return future

    def make(self, group: ShardGroup | MergeGroup) -> ShardReport:
        """Reduce one group of shards, or of partial results, into files of partial results."""
        seconds, start = {"read": 0.0, "write": 0.0}, time.perf_counter()
        if isinstance(group, MergeGroup):
            parts, rows = self._merged(group, seconds), 0
        else:
            parts, rows = self._finder.find(self._templates(group, seconds)), group.rows
        for cut, arrays in parts:
            written = time.perf_counter()
            self._store.write_sealed(group.file_name(cut), encode(arrays))
            seconds["write"] += time.perf_counter() - written
        seconds["compare"] = time.perf_counter() - start - sum(seconds.values())
        return ShardReport(group.index, rows, {}, 0, seconds)

    def _merged(self, group: MergeGroup, seconds: dict[str, float]) -> Iterator[tuple[int, Arrays]]:
        def read(name: str) -> Arrays:
            start = time.perf_counter()
            arrays = decode(self._store.read_sealed(name))
            seconds["read"] += time.perf_counter() - start
            return arrays

        new = set().union(*group.files)
        for cut, merged in enumerate(merged_below(group.files, group.cuts, read)):
            if cut in new:
                yield cut, named_arrays(merged)

    def _templates(self, group: ShardGroup, seconds: dict[str, float]) -> Iterator[ShardTemplates]:
        for shard in sorted(group.shards, key=lambda shard: shard.first_id):
            for name in self._names:
                start = time.perf_counter()
                block = self._read(shard, name)
                seconds["read"] += time.perf_counter() - start
                yield block

    def _read(self, shard: Shard, recognizer: str) -> ShardTemplates:
        column = template_column(recognizer)
        table = self._samples.read_table(f"{SAMPLES_PREFIX}/{shard.file_name}", ["sample_id", column])
        table = table.filter(pc.is_valid(table[column]))
        return ShardTemplates(recognizer, table["sample_id"].to_numpy(), template_rows(table, recognizer))


def _finder(query: Query) -> Finder:
    if isinstance(query, SearchQuery):
        return Searcher(query)
    return Gatherer(query) if isinstance(query, GatherQuery) else Summer()


class Searcher:
    """The nearest samples, margins and hits of all people below each cut of the sample ids: of all
    recognisers and levels, if more is found by any of them than below the cut before."""

    def __init__(self, query: SearchQuery) -> None:
        self._query = query

    def find(self, templates: Iterator[ShardTemplates]) -> Iterator[tuple[int, Arrays]]:
        searches = {
            name: [_PrefixSearch(self._query, name, level) for level in range(len(people.levels))]
            for name, people in self._query.people.items()
        }
        for block in templates:
            in_setting = block.sample_id % self._query.settings == self._query.setting
            counted = block if in_setting.all() else block[in_setting]
            rows = centred(counted.templates, self._query.people[block.recognizer].centre)
            for search in searches[block.recognizer]:
                search.add(replace(counted, templates=rows))
        results = {
            f"{name}/{level}": search.results()
            for name, levels in searches.items()
            for level, search in enumerate(levels)
        }
        latest: NamedPartials = {}
        for cut in range(len(self._query.cuts)):
            more = {name: partials.pop(cut) for name, partials in results.items() if cut in partials}
            latest |= more
            if more:
                yield cut, named_arrays(latest)


class _PrefixSearch:
    """The search of one recogniser and level over rising sample ids, looked at each time a cut is passed."""

    def __init__(self, query: SearchQuery, recognizer: str, level: int) -> None:
        compared = query.people[recognizer]
        self._cuts, self._cut = query.cuts, 0
        self._partials: dict[int, Partial] = {}
        self._search = PeopleSearch(
            compared.levels[level],
            k=query.spec.membership.topk,
            threshold=compared.thresholds[level],
            twins=query.twins,
            device=query.device,
        )

    def add(self, block: ShardTemplates) -> None:
        first = 0
        while self._cut < len(self._cuts):
            stop = int(np.searchsorted(block.sample_id, self._cuts[self._cut]))
            self._search.add(block.templates[first:stop], block.sample_id[first:stop])
            if stop == len(block.sample_id):
                return
            self._pass(self._cut)
            self._cut, first = self._cut + 1, stop

    def _pass(self, cut: int) -> None:
        partial = self._search.result()
        latest = next(reversed(self._partials.values()), None)
        if partial.samples and (latest is None or partial.samples > latest.samples):
            self._partials[cut] = partial

    def results(self) -> dict[int, Partial]:
        """Cut -> what is found below it; samples from the last cut on do not count."""
        if self._cut < len(self._cuts):
            self._pass(self._cut)
        return self._partials


class Gatherer:
    """The templates of the wanted samples, in the order of their ids."""

    def __init__(self, query: GatherQuery) -> None:
        self._query = query

    def find(self, templates: Iterator[ShardTemplates]) -> Iterator[tuple[int, Arrays]]:
        parts: dict[str, list[ShardTemplates]] = {name: [] for name in self._query.ids}
        for block in templates:
            wanted = np.isin(block.sample_id, self._query.ids[block.recognizer], assume_unique=True)
            parts[block.recognizer].append(block[wanted])
        arrays: Arrays = {}
        for name, blocks in parts.items():
            arrays[f"{name}/sample_id"] = np.concatenate([block.sample_id for block in blocks])
            arrays[f"{name}/templates"] = np.concatenate([block.templates for block in blocks]).astype(
                np.float16
            )
        yield 0, arrays


class Summer:
    """The sum and the number of all templates, which are exact: see `TemplateSum`."""

    def find(self, templates: Iterator[ShardTemplates]) -> Iterator[tuple[int, Arrays]]:
        arrays: Arrays = {}
        for block in templates:
            total, count = f"{block.recognizer}/sum", f"{block.recognizer}/count"
            part = template_sum(block.templates)
            arrays[total] = arrays.get(total, 0.0) + np.array(part.sum)
            arrays[count] = arrays.get(count, np.int64(0)) + np.array(part.count)
        yield 0, arrays


NamedPartials = dict[str, Partial]
"""`<recogniser>/<level>` -> its partial result; only those that have seen a sample."""


def named_arrays(partials: NamedPartials) -> Arrays:
    """The arrays of one file."""
    return {
        key: array
        for name, partial in partials.items()
        for key, array in partial_arrays(partial, name).items()
    }


def _named_partials(arrays: Arrays) -> NamedPartials:
    """The inverse of `named_arrays`."""
    return {name: partial_of(arrays, name) for name in sorted({key.rpartition("/")[0] for key in arrays})}


def merged_below(
    files: Sequence[CutFiles], cuts: int, read: Callable[[str], Arrays]
) -> Iterator[NamedPartials]:
    """What several groups have found below each cut in turn, merged. One cut is in memory at a time."""
    finished: NamedPartials = {}
    open_groups = list(files)
    for cut in range(cuts):
        # Of groups that find no more above this cut: read for the last time.
        for group in [group for group in open_groups if max(group, default=-1) <= cut]:
            open_groups.remove(group)
            if group:
                finished = _merged(finished, _named_partials(read(group[max(group)])))
        merged = finished
        for group in open_groups:
            if below := [known for known in group if known <= cut]:
                merged = _merged(merged, _named_partials(read(group[max(below)])))
        yield merged


def _merged(a: NamedPartials, b: NamedPartials) -> NamedPartials:
    both = {name: merge(a[name], b[name]) for name in a.keys() & b.keys()}
    return a | b | both


def encode(arrays: Arrays) -> bytes:
    """One npz archive."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def decode(data: bytes) -> Arrays:
    """The inverse of `encode`."""
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}
