"""A few samples, made as a worker would make them: what they cost, and what became of them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from distributed.execution.executor import Capacity
from distributed.execution.local import LocalExecutor
from distributed.sampling.generator import Image, ImageSource, InvalidImage
from distributed.sampling.sandbox.parent import GeneratorCrashedError
from distributed.stages.given_templates import require_templates_dimension
from distributed.stages.making.embedder import Embedder, ShardEmbedder
from distributed.stages.making.models import open_source
from distributed.stages.making.opening import open_embedder
from distributed.stages.making.rate import samples_per_second
from distributed.stages.making.setup import Setup
from distributed.stages.making.table import samples_table
from distributed.stages.making.template_embedder import TemplateEmbedder
from distributed.storage.store import encode_table
from schemas.errors import ModelError
from schemas.run.shard import BATCH_IMAGES, Footer, Shard
from schemas.run.tables import invalid_count
from schemas.spec.audit import AuditSpec

PROBE_SAMPLES = 2 * BATCH_IMAGES
LEVELS = 256
PIXELS_COUNTED = 1 << 16
"""Of one image, about: more would take time and show nothing new."""


class WatchedSource:
    """An image source that counts the values of the pixels that it gives."""

    def __init__(self, source: ImageSource) -> None:
        self._source = source
        self.levels = np.zeros(LEVELS, np.int64)

    def sample(self, ids: NDArray[np.int64]) -> Sequence[Image | InvalidImage]:
        images = self._source.sample(ids)
        for image in images:
            if not isinstance(image, InvalidImage):
                step = max(1, image.size // PIXELS_COUNTED)
                self.levels += np.bincount(image.ravel()[::step], minlength=LEVELS)
        return images


@dataclass(frozen=True, eq=False)
class SampleProbe:
    """What a few samples cost one worker, and what became of them.

    outcomes: how many of each. reason: why one of them is not an image, if any is not. levels: int64
    (256,), how often each value of a pixel occurs.
    """

    samples: int
    seconds_per_sample: float
    bytes_per_sample: float
    outcomes: Mapping[str, int]
    reason: str | None
    levels: NDArray[np.int64]

    @property
    def invalid(self) -> int:
        return invalid_count(self.outcomes)


def probe_samples(spec: AuditSpec, capacity: Capacity) -> SampleProbe:
    """Sample and embed a few images as one worker would, after one batch to warm up. Writes nothing.

    Raises ModelError if the process of the generator's code ends: a few samples are not tried again.
    """
    setup = Setup(spec, capacity.device, capacity.threads)
    if not spec.generator.has_images:
        require_templates_dimension(spec, LocalExecutor())
        return _probed(setup, TemplateEmbedder(setup), np.zeros(LEVELS, np.int64))
    try:
        source = WatchedSource(open_source(setup))
        return _probed(setup, ShardEmbedder(setup, source), source.levels)
    except GeneratorCrashedError as error:
        raise ModelError(str(error)) from error


def _probed(setup: Setup, embedder: Embedder, levels: NDArray[np.int64]) -> SampleProbe:
    """levels: counts the values of the pixels that the embedder sees; from 0 on again once it is warm."""
    samples = setup.spec.samples
    embedder.embed(Shard(0, 0, min(BATCH_IMAGES, samples)))
    levels[:] = 0
    shard = Shard(0, 0, min(PROBE_SAMPLES, samples))
    start = time.perf_counter()
    embedded = embedder.embed(shard)
    seconds_per_sample = (time.perf_counter() - start) / shard.rows
    if setup.device != "cpu":
        # What was timed went through the host's memory, as a worker's samples do not.
        seconds_per_sample = 1 / samples_per_second(open_embedder(setup), samples)
    footer = Footer(table="samples", fingerprint={}, stop_id=0, rows=0)
    table = samples_table(shard, embedded.faces)
    size = len(encode_table(table, footer)) - len(encode_table(table.slice(0, 0), footer))
    return SampleProbe(
        samples=shard.rows,
        seconds_per_sample=seconds_per_sample,
        bytes_per_sample=size / shard.rows,
        outcomes=Counter(str(outcome) for outcome in embedded.faces.outcome),
        reason=next(iter(embedded.reasons), None),
        levels=levels,
    )
