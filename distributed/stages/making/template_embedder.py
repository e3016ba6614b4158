"""Shards of samples that are templates already."""

from __future__ import annotations

import time
from collections.abc import Mapping

import numpy as np

from distributed.embedding.extractor import FaceBatch
from distributed.sampling.generator import AnsweringSource
from distributed.sampling.templates.template_rows import Templates
from distributed.sampling.templates.vectors import unit_rows
from distributed.stages.making.embedder import EmbeddedShard
from distributed.stages.making.setup import Setup
from schemas.run.shard import BATCH_IMAGES, Shard
from schemas.run.tables import Outcome
from schemas.spec.generators.templates import TemplatesGenerator

ROWS_AT_ONCE = 1 << 16
"""A shard may have a million rows, which are held as float16 once they are scaled."""
REASONS: Mapping[str, str] = {
    Outcome.MISSING: "there is no template",
    Outcome.NOT_FINITE: "the template is zero or not finite",
}


class TemplateEmbedder:
    """Makes shards of samples that are templates already: scaled to unit length, and nothing else."""

    def __init__(self, setup: Setup) -> None:
        """Raises SpecError for files that hold no templates."""
        assert isinstance(setup.spec.generator, TemplatesGenerator), "else there are images"
        self.images_at_once = BATCH_IMAGES
        self.answering: AnsweringSource | None = None
        self._templates = Templates(setup.spec.generator, setup.prepared)
        self._recognizer = setup.spec.faces.recognizers[0].name

    @property
    def batches(self) -> dict[str, int]:
        """No recogniser takes any crops."""
        return {}

    def embed(self, shard: Shard) -> EmbeddedShard:
        """Rows of the files. One that is null is `missing`, one without a direction `not_finite`."""
        start = time.perf_counter()
        parts = [self._part(first, min(first + ROWS_AT_ONCE, shard.stop_id)) for first in _firsts(shard)]
        faces = FaceBatch.joined(parts)
        reasons = [
            f"{id_}: {REASONS[became]}"
            for id_, became in zip(shard.ids.tolist(), faces.outcome, strict=True)
            if became in REASONS
        ]
        return EmbeddedShard(faces, {"read": time.perf_counter() - start}, reasons)

    def _part(self, first: int, stop: int) -> FaceBatch:
        raw = self._templates.read(first, stop)
        rows, lengths = unit_rows(raw)
        missing = np.asarray(np.isnan(raw).all(axis=1))
        usable = np.isfinite(lengths) & (lengths > 0)
        outcome = np.where(usable, Outcome.OK, np.where(missing, Outcome.MISSING, Outcome.NOT_FINITE))
        return FaceBatch(
            outcome=[str(became) for became in outcome],
            faces=usable.astype(np.int16),
            detection_score=np.full(len(raw), np.nan, np.float32),
            face_size=np.full(len(raw), np.nan, np.float32),
            templates={self._recognizer: rows.astype(np.float16)},
        )


def _firsts(shard: Shard) -> range:
    return range(shard.first_id, shard.stop_id, ROWS_AT_ONCE)
