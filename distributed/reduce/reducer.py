"""From committed shards to partial results. What a reducing actor does; knows nothing of Ray."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol
from uuid import uuid4

import faiss
import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from distributed.gallery.enrolled import EnrolledGallery, enrolled_gallery, template_rows, without_people
from distributed.reduce.neighbours import Neighbours, NeighbourSearch, Partial, empty, merge, search
from distributed.statistics.people.explaining import supported
from distributed.storage.store import open_run
from schemas.run.artefacts import GALLERY_FILE, PARTIALS_PREFIX, SAMPLES_PREFIX
from schemas.run.shard import Shard, ShardReport
from schemas.run.tables import template_column
from schemas.spec.audit import AuditSpec

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class SearchQuery:
    """Compare the whole gallery with all samples.

    samples: the run whose shards are searched, this one or a reference. thresholds: recogniser name ->
    similarity of a hit. levels: as in `search`. cuts: rising sample ids; what is found among the ids
    below each is reported. settings and setting: only samples whose id is `setting` modulo `settings` count.
    left_out: people of `gallery.parquet` who are not compared.
    """

    spec: AuditSpec
    samples: AuditSpec
    thresholds: Mapping[str, float]
    levels: tuple[int, ...]
    cuts: tuple[int, ...]
    device: str
    threads: int
    settings: int = 1
    setting: int = 0
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class GatherQuery:
    """Fetch the templates of some samples. ids: recogniser name -> sample ids, rising."""

    spec: AuditSpec
    ids: Mapping[str, NDArray[np.int64]]
    device: str
    threads: int


@dataclass(frozen=True)
class SupportQuery:
    """Compare some people with the samples that fit them better than the others of these people.

    people: indices of gallery identities, rising; the rest as in SearchQuery.
    """

    spec: AuditSpec
    people: NDArray[np.int64]
    thresholds: Mapping[str, float]
    levels: tuple[int, ...]
    device: str
    threads: int
    left_out: tuple[str, ...] = ()


Query = SearchQuery | GatherQuery | SupportQuery
"""What is searched for among the samples of a run; one pass over its shards answers it."""


@dataclass(frozen=True)
class ShardGroup:
    """Shards that one task of a pass reduces. A late attempt of another pass writes elsewhere."""

    index: int
    shards: tuple[Shard, ...]
    pass_id: str

    @property
    def file_name(self) -> str:
        return f"{PARTIALS_PREFIX}/{self.pass_id}-{self.index:06d}.npz"


def group_shards(shards: Sequence[Shard], groups: int) -> list[ShardGroup]:
    """Cut the shards into at most `groups` contiguous groups of nearly equal size."""
    cuts, pass_id = np.array_split(np.arange(len(shards)), min(groups, len(shards))), uuid4().hex
    return [ShardGroup(index, tuple(shards[i] for i in cut), pass_id) for index, cut in enumerate(cuts)]


@dataclass(frozen=True)
class ShardTemplates:
    """The samples of one shard that have a template of one recogniser: ids (n,) and templates (n, d)."""

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

    def find(self, templates: Iterator[ShardTemplates]) -> Arrays: ...


class Reducer:
    """Compares streamed samples with a query; memory is O(gallery × k), or what is fetched, and one shard."""

    def __init__(self, query: Query) -> None:
        faiss.omp_set_num_threads(query.threads)
        threadpool_limits(query.threads, "blas")
        self._names = [recognizer.name for recognizer in query.spec.faces.recognizers]
        self._store = open_run(query.spec)
        self._samples = open_run(query.samples) if isinstance(query, SearchQuery) else self._store
        self._finder = self._open(query)

    def _open(self, query: Query) -> Finder:
        if isinstance(query, GatherQuery):
            return Gatherer(query)
        table = without_people(self._store.read_table(GALLERY_FILE), query.left_out)
        gallery = enrolled_gallery(table, self._names)
        return Searcher(query, gallery) if isinstance(query, SearchQuery) else Supporter(query, gallery)

    def make(self, group: ShardGroup) -> ShardReport:
        """Reduce one group of shards into one file of partial results."""
        seconds, start = {"read": 0.0}, time.perf_counter()
        arrays = self._finder.find(self._templates(group, seconds))
        written = time.perf_counter()
        seconds["compare"] = written - start - seconds["read"]
        self._store.write_sealed(group.file_name, encode(arrays))
        seconds["write"] = time.perf_counter() - written
        return ShardReport(group.index, sum(shard.rows for shard in group.shards), {}, 0, seconds)

    def _templates(self, group: ShardGroup, seconds: dict[str, float]) -> Iterator[ShardTemplates]:
        for shard in group.shards:
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


class Searcher:
    """The nearest samples and the hits of all photos, among the ids below each cut."""

    def __init__(self, job: SearchQuery, gallery: EnrolledGallery) -> None:
        self._job, self._gallery = job, gallery

    def find(self, templates: Iterator[ShardTemplates]) -> Arrays:
        searches = {name: _PrefixSearch(self._open(name), self._job.cuts) for name in self._gallery.templates}
        for block in templates:
            in_setting = block.sample_id % self._job.settings == self._job.setting
            searches[block.recognizer].add(block if in_setting.all() else block[in_setting])
        return {
            f"{name}/{place}/{field}": array
            for name, prefix_search in searches.items()
            for place, partial in enumerate(prefix_search.finish())
            for field, array in partial_arrays(partial).items()
        }

    def _open(self, name: str) -> NeighbourSearch:
        return NeighbourSearch(
            self._gallery.templates[name],
            self._gallery.identity,
            k=self._job.spec.membership.topk,
            threshold=self._job.thresholds[name],
            rank=self._gallery.rank,
            levels=self._job.levels,
            device=self._job.device,
        )


class _PrefixSearch:
    """One search over rising sample ids, looked at each time that a cut is passed."""

    def __init__(self, search: NeighbourSearch, cuts: tuple[int, ...]) -> None:
        self._search, self._cuts = search, cuts
        self._found: list[Partial] = []

    def add(self, block: ShardTemplates) -> None:
        first = 0
        for cut in self._cuts[len(self._found) :]:
            stop = int(np.searchsorted(block.sample_id, cut))
            self._search.add(block.templates[first:stop], block.sample_id[first:stop])
            if stop == len(block.sample_id):
                return
            self._found.append(self._search.found())
            first = stop

    def finish(self) -> list[Partial]:
        """What is found below each cut; samples from the last cut on do not count."""
        return self._found + [self._search.found()] * (len(self._cuts) - len(self._found))


class Gatherer:
    """The templates of the wanted samples, in the order of their ids."""

    def __init__(self, job: GatherQuery) -> None:
        self._job = job

    def find(self, templates: Iterator[ShardTemplates]) -> Arrays:
        parts: dict[str, list[ShardTemplates]] = {name: [] for name in self._job.ids}
        for block in templates:
            wanted = np.isin(block.sample_id, self._job.ids[block.recognizer], assume_unique=True)
            parts[block.recognizer].append(block[wanted])
        arrays: Arrays = {}
        for name, blocks in parts.items():
            arrays[f"{name}/sample_id"] = np.concatenate([block.sample_id for block in blocks])
            arrays[f"{name}/templates"] = np.concatenate([block.templates for block in blocks]).astype(
                np.float16
            )
        return arrays


class Supporter:
    """The nearest samples and the hits of some people, each among the samples that support them."""

    def __init__(self, job: SupportQuery, gallery: EnrolledGallery) -> None:
        self._job = job
        self._photos = np.flatnonzero(np.isin(gallery.identity, job.people))
        self._identity = np.searchsorted(job.people, gallery.identity[self._photos])
        self._rank = gallery.rank[self._photos]
        self._templates = {name: rows[self._photos] for name, rows in gallery.templates.items()}

    def find(self, templates: Iterator[ShardTemplates]) -> Arrays:
        job, topk = self._job, self._job.spec.membership.topk
        nothing = empty(len(self._photos), len(job.people), topk, len(job.levels))
        partials = dict.fromkeys(self._templates, nothing)
        for block in templates:
            supports = supported(block.templates, self._templates[block.recognizer], self._identity)
            partials[block.recognizer] = merge(partials[block.recognizer], self._search(block, supports))
        return {
            f"{name}/0/{field}": array
            for name, partial in partials.items()
            for field, array in partial_arrays(partial).items()
        }

    def _search(self, block: ShardTemplates, supports: NDArray[np.bool_]) -> Partial:
        """`samples` counts all of the block: it is what a hit rate is a share of."""
        job = self._job
        partial = empty(len(self._photos), len(job.people), job.spec.membership.topk, len(job.levels))
        for person in np.flatnonzero(supports.any(axis=0)):
            photos = np.flatnonzero(self._identity == person)
            supporting = block[supports[:, person]]
            person_partial = search(
                self._templates[block.recognizer][photos],
                np.zeros(len(photos), np.int64),
                supporting.templates,
                supporting.sample_id,
                k=job.spec.membership.topk,
                threshold=job.thresholds[block.recognizer],
                rank=self._rank[photos],
                levels=job.levels,
                device=job.device,
            )
            partial.neighbours.similarity[photos] = person_partial.neighbours.similarity
            partial.neighbours.sample_id[photos] = person_partial.neighbours.sample_id
            partial.photo_hits[photos] = person_partial.photo_hits
            partial.identity_hits[:, person] = person_partial.identity_hits[:, 0]
        return replace(partial, samples=len(block.sample_id))


def partial_arrays(partial: Partial) -> Arrays:
    return {
        "similarity": partial.neighbours.similarity,
        "sample_id": partial.neighbours.sample_id,
        "photo_hits": partial.photo_hits,
        "identity_hits": partial.identity_hits,
        "samples": np.array(partial.samples),
    }


def partial_of(arrays: Mapping[str, NDArray[Any]], key: str) -> Partial:
    """The inverse of `partial_arrays`, for arrays under `<key>/`."""
    return Partial(
        Neighbours(arrays[f"{key}/similarity"], arrays[f"{key}/sample_id"]),
        arrays[f"{key}/photo_hits"],
        arrays[f"{key}/identity_hits"],
        int(arrays[f"{key}/samples"]),
    )


def encode(arrays: Arrays) -> bytes:
    """One npz archive."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def decode(data: bytes) -> Arrays:
    """The inverse of `encode`."""
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}
