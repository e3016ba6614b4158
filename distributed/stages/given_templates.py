"""Samples and people that are given as templates: whether these fit the recogniser, and shards of them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping

import numpy as np

from distributed.embedding.extractor import FaceBatch
from distributed.embedding.fingerprint import recognizer_fields
from distributed.embedding.usual_inputs import open_under
from distributed.embedding.zoo import resolve_model
from distributed.execution.executor import Executor
from distributed.gallery.template_sides import template_sides
from distributed.sampling.generator import AnsweringSource
from distributed.sampling.templates.template_rows import Templates
from distributed.sampling.templates.vectors import unit_rows
from distributed.stages.embed import EmbeddedShard, ShardJob, concatenate
from schemas.errors import SpecError
from schemas.run.shard import BATCH_IMAGES, Shard
from schemas.run.tables import Outcome
from schemas.spec.audit import AuditSpec
from schemas.spec.generators.templates import TemplatesGenerator

SAMPLES = "the samples"
ROWS_AT_ONCE = 1 << 16
"""A shard may have a million rows, which are held as float16 once they are scaled."""
REASONS: Mapping[str, str] = {
    Outcome.MISSING: "there is no template",
    Outcome.NOT_FINITE: "the template is zero or not finite",
}


def require_same_recognizer(spec: AuditSpec) -> None:
    """Raise SpecError if the samples are templates of a model that is stated, and not the audit's."""
    generator, name = spec.generator, spec.faces.recognizers[0].name
    if not isinstance(generator, TemplatesGenerator) or generator.recognizer is None:
        return
    digest = recognizer_fields(spec.faces)[f"faces.recognizers.{name}.sha256"]
    if generator.recognizer != f"sha256:{digest}":
        raise SpecError(
            f"generator.recognizer is {generator.recognizer}, and recogniser {name} is sha256:{digest}: "
            "give the model that made the templates"
        )


def require_templates_dimension(spec: AuditSpec, executor: Executor) -> None:
    """Raise SpecError for templates of samples or people of another length than the recogniser's."""
    lengths = dict(_lengths(spec))
    if not lengths:
        return
    capacity = executor.capacity(spec.resources)
    _require(spec, lengths, executor.call(capacity, recognizer_dimension, spec, capacity.device))


def _require(spec: AuditSpec, lengths: Mapping[str, int], dimension: int) -> None:
    """lengths: whose templates -> numbers in each."""
    name = spec.faces.recognizers[0].name
    for whose, length in lengths.items():
        if length != dimension:
            raise SpecError(
                f"templates of {whose} have {length} numbers, and recogniser {name} makes {dimension}: give "
                f"its own templates, or {'images' if whose == SAMPLES else 'photos'}"
            )


def _lengths(spec: AuditSpec) -> Iterator[tuple[str, int]]:
    if isinstance(spec.generator, TemplatesGenerator):
        yield SAMPLES, Templates(spec.generator).dimension
    for role, listed in template_sides(spec.gallery):
        yield f"the gallery's {role} side", listed.templates.shape[1]


def recognizer_dimension(spec: AuditSpec, device: str) -> int:
    """Of the first recogniser's templates."""
    (recognizer, *_) = spec.faces.recognizers
    path = resolve_model(recognizer.path, task="recognition")
    return open_under(recognizer.input, path, device=device, threads=1).dim


class TemplateEmbedder:
    """Makes shards of samples that are templates already: scaled to unit length, and nothing else."""

    def __init__(self, job: ShardJob) -> None:
        """Raises SpecError for files that hold no templates."""
        assert isinstance(job.spec.generator, TemplatesGenerator), "else there are images"
        self.images_at_once = BATCH_IMAGES
        self.answering: AnsweringSource | None = None
        self._templates = Templates(job.spec.generator, job.prepared)
        self._recognizer = job.spec.faces.recognizers[0].name

    @property
    def batches(self) -> dict[str, int]:
        """No recogniser takes any crops."""
        return {}

    def embed(self, shard: Shard) -> EmbeddedShard:
        """Rows of the files. One that is null is `missing`, one without a direction `not_finite`."""
        start = time.perf_counter()
        parts = [self._part(first, min(first + ROWS_AT_ONCE, shard.stop_id)) for first in _firsts(shard)]
        faces = concatenate(parts)
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
            templates={self._recognizer: rows.astype(np.float16)},
        )


def _firsts(shard: Shard) -> range:
    return range(shard.first_id, shard.stop_id, ROWS_AT_ONCE)
