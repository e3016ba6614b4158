"""The pipeline's stages, each alone, with what it needs at hand."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TypeVar

import numpy as np

from distributed.embedding.alignment import TEMPLATE_SIZE
from distributed.sampling.generator import Image
from distributed.stages.making.embedder import ShardEmbedder
from distributed.stages.making.models import open_extractor, open_source
from distributed.stages.making.setup import Setup
from distributed.stages.making.table import samples_table
from distributed.storage.store import open_run
from jobs.benchmarks.pipeline.workers import bench_shards
from schemas.run.shard import BATCH_IMAGES, Footer

T = TypeVar("T")


def stages_alone(setup: Setup, drawn: Sequence[Image]) -> dict[str, Callable[[], object]]:
    """In batches of one and of BATCH_IMAGES."""
    source, detecting = open_source(setup), open_extractor(_without_recognizers(setup))
    embedding = open_extractor(_of_crops(setup))
    stages: dict[str, Callable[[], object]] = {}
    for batch in (1, BATCH_IMAGES):
        starts = range(0, len(drawn), batch)
        ids = [np.arange(start, min(start + batch, len(drawn))) for start in starts]
        parts = [drawn[start : start + batch] for start in starts]
        crops = [
            [crop for crop in detecting.crops(part, TEMPLATE_SIZE) if crop is not None] for part in parts
        ]
        stages[stage_name("generate", batch)] = partial(_each, source.sample, ids)
        stages[stage_name("detect", batch)] = partial(_each, detecting.extract, parts)
        stages[stage_name("align and embed", batch)] = partial(_each, embedding.extract, crops)
    return stages | {stage_name("write", BATCH_IMAGES): _writer(setup, len(drawn))}


def stage_name(stage: str, batch: int) -> str:
    return stage if stage == "write" else f"{stage}, batches of {batch}"


def _each(run: Callable[[T], object], parts: Iterable[T]) -> None:
    for part in parts:
        run(part)


def _without_recognizers(setup: Setup) -> Setup:
    faces = setup.spec.faces.model_copy(update={"recognizers": ()})
    return Setup(setup.spec.model_copy(update={"faces": faces}), setup.device, setup.threads)


def _of_crops(setup: Setup) -> Setup:
    """A job whose images are aligned crops already."""
    gallery = setup.spec.gallery.model_copy(update={"detector": False})
    spec = setup.spec.model_copy(update={"gallery": gallery})
    return Setup(spec, setup.device, setup.threads, photos=())


def _writer(setup: Setup, images: int) -> Callable[[], object]:
    """Encode, checksum, write and sync shards that are embedded already."""
    store, embedder = open_run(setup.spec), ShardEmbedder(setup)
    embedded = [(shard, embedder.embed(shard).faces) for shard in bench_shards(images)]

    def write() -> None:
        for shard, faces in embedded:
            footer = Footer(table="samples", fingerprint={}, stop_id=shard.stop_id, rows=shard.rows)
            store.write_table(f"alone/{shard.file_name}", samples_table(shard, faces), footer)

    return write
