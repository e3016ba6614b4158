"""From committed shards to partial neighbours. What a reducing actor does; knows nothing of Ray."""

from __future__ import annotations

import io
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import faiss
import numpy as np
import pyarrow.compute as pc
import torch
from numpy.typing import NDArray

from distributed.enrolled import EnrolledGallery, enrolled_gallery, template_rows
from distributed.reduce.neighbours import Neighbours, Partial, empty, merge, search
from distributed.store import RunStore
from schemas.layout import GALLERY_FILE, PARTIALS_PREFIX, SAMPLES_PREFIX
from schemas.shard import Shard, ShardReport
from schemas.spec import AuditSpec
from schemas.tables import template_column


@dataclass(frozen=True)
class ReduceJob:
    """All that a reducing actor needs. `thresholds`: recogniser name -> similarity of a hit."""

    spec: AuditSpec
    thresholds: Mapping[str, float]
    device: str
    threads: int


@dataclass(frozen=True)
class ShardGroup:
    """Shards that one task reduces."""

    index: int
    shards: tuple[Shard, ...]

    @property
    def file_name(self) -> str:
        return f"{PARTIALS_PREFIX}/part-{self.index:06d}.npz"


def group_shards(shards: Sequence[Shard], groups: int) -> list[ShardGroup]:
    """Cut the shards into at most `groups` contiguous groups of nearly equal size."""
    cuts = np.array_split(np.arange(len(shards)), min(groups, len(shards)))
    return [ShardGroup(index, tuple(shards[i] for i in cut)) for index, cut in enumerate(cuts)]


class ReduceMaker:
    """Streams samples past the gallery; memory is O(gallery × k) and one shard."""

    def __init__(self, job: ReduceJob) -> None:
        faiss.omp_set_num_threads(job.threads)
        torch.set_num_threads(job.threads)
        self._job = job
        self._store = RunStore(job.spec.output)
        names = [one.name for one in job.spec.faces.recognizers]
        self._gallery = enrolled_gallery(self._store.read_table(GALLERY_FILE), names)

    def make(self, group: ShardGroup) -> ShardReport:
        """Reduce one group of shards into one file of partial results."""
        start = time.perf_counter()
        topk = self._job.spec.membership.topk
        partials = {name: empty_partial(self._gallery, topk) for name in self._gallery.templates}
        for shard in group.shards:
            for name, partial in partials.items():
                partials[name] = merge(partial, self._search(shard, name))
        self._store.write(group.file_name, encode_partials(partials))
        seconds = {"reduce": time.perf_counter() - start}
        return ShardReport(group.index, sum(shard.rows for shard in group.shards), {}, 0, seconds)

    def _search(self, shard: Shard, recognizer: str) -> Partial:
        column = template_column(recognizer)
        table = self._store.read_table(f"{SAMPLES_PREFIX}/{shard.file_name}", ["sample_id", column])
        table = table.filter(pc.is_valid(table[column]))
        return search(
            self._gallery.templates[recognizer],
            self._gallery.identity,
            template_rows(table, recognizer),
            table["sample_id"].to_numpy(),
            k=self._job.spec.membership.topk,
            threshold=self._job.thresholds[recognizer],
            device=self._job.device,
        )


def empty_partial(gallery: EnrolledGallery, topk: int) -> Partial:
    return empty(len(gallery.identity), len(gallery.names), topk)


def encode_partials(partials: Mapping[str, Partial]) -> bytes:
    """One npz archive: `<recogniser>/<field>` -> array."""
    arrays: dict[str, NDArray[Any]] = {}
    for name, partial in partials.items():
        arrays[f"{name}/similarity"] = partial.neighbours.similarity
        arrays[f"{name}/sample_id"] = partial.neighbours.sample_id
        arrays[f"{name}/photo_hits"] = partial.photo_hits
        arrays[f"{name}/identity_hits"] = partial.identity_hits
        arrays[f"{name}/samples"] = np.array(partial.samples)
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def decode_partials(data: bytes, recognizers: Sequence[str]) -> dict[str, Partial]:
    """The inverse of `encode_partials`."""
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        return {
            name: Partial(
                Neighbours(arrays[f"{name}/similarity"], arrays[f"{name}/sample_id"]),
                arrays[f"{name}/photo_hits"],
                arrays[f"{name}/identity_hits"],
                int(arrays[f"{name}/samples"]),
            )
            for name in recognizers
        }
