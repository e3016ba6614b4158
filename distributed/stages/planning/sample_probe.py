"""A few samples, made as a worker would make them: what they cost, and what is wrong with them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from distributed.execution.executor import Capacity
from distributed.execution.local import LocalExecutor
from distributed.gallery.quality import GOOD_FACES
from distributed.sampling.generator import Image, ImageSource, InvalidImage
from distributed.sampling.sandbox.parent import GeneratorCrashedError
from distributed.stages.embed import (
    Embedder,
    ShardEmbedder,
    ShardJob,
    open_embedder,
    open_source,
    samples_table,
)
from distributed.stages.given_templates import TemplateEmbedder, require_templates_dimension
from distributed.stages.invalid_samples import invalid_wording
from distributed.stages.planning.shard_size import samples_per_second
from distributed.statistics.people.separation import clopper_pearson
from distributed.storage.store import encode_table
from schemas.errors import InvalidSamplesError, ModelError
from schemas.run.shard import BATCH_IMAGES, Footer, Shard
from schemas.run.tables import Outcome, invalid_count
from schemas.spec.audit import AuditSpec
from schemas.spec.generators.network import NetworkGenerator

PROBE_SAMPLES = 2 * BATCH_IMAGES
LEVELS = 256
PIXELS_COUNTED = 1 << 16
"""Of one image, about: more would take time and show nothing new."""
MIDDLE = (0.01, 0.99)
NARROW, CLIPPED = 0.55, 0.25
"""The middle of the values spans less of the range than this, or more than that share lies at its ends."""


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
    job = ShardJob(spec, {}, "", capacity.device, capacity.threads)
    if not spec.generator.has_images:
        require_templates_dimension(spec, LocalExecutor())
        return _probed(job, TemplateEmbedder(job), np.zeros(LEVELS, np.int64))
    try:
        source = WatchedSource(open_source(job))
        return _probed(job, ShardEmbedder(job, source), source.levels)
    except GeneratorCrashedError as error:
        raise ModelError(str(error)) from error


def _probed(job: ShardJob, embedder: Embedder, levels: NDArray[np.int64]) -> SampleProbe:
    """levels: counts the values of the pixels that the embedder sees; from 0 on again once it is warm."""
    samples = job.spec.samples
    embedder.embed(Shard(0, 0, min(BATCH_IMAGES, samples)))
    levels[:] = 0
    shard = Shard(0, 0, min(PROBE_SAMPLES, samples))
    start = time.perf_counter()
    embedded = embedder.embed(shard)
    seconds_per_sample = (time.perf_counter() - start) / shard.rows
    if job.device != "cpu":
        # What was timed went through the host's memory, as a worker's samples do not.
        seconds_per_sample = 1 / samples_per_second(open_embedder(job), samples)
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


def probe_rows(spec: AuditSpec, probe: SampleProbe) -> Iterator[tuple[str, str]]:
    """What the probe says of the samples, for a table."""
    if probe.invalid:
        share = f"{probe.invalid} of {probe.samples} probed ({probe.invalid / probe.samples:.0%})"
        yield (
            "no images" if spec.generator.has_images else "no templates",
            f"{share}: {probe.reason}; limits.invalid_samples is {_limit(spec)}",
        )
    if not spec.generator.has_images:
        yield "faces in samples", "not searched for: the samples are templates already"
    elif images := probe.samples - probe.invalid:
        yield "faces in samples", _faces(spec, probe, images)
        yield "pixel values", _values(spec, probe)


def _limit(spec: AuditSpec) -> str:
    return f"{spec.limits.invalid_samples:.2%}"


def _faces(spec: AuditSpec, probe: SampleProbe, images: int) -> str:
    if spec.faces.landmarks is not None:
        return "not searched for: faces.landmarks says where each one is"
    with_face = sum(probe.outcomes.get(outcome, 0) for outcome in (Outcome.OK, Outcome.SEVERAL_FACES))
    text = f"{with_face} of {images} probed images ({with_face / images:.0%})"
    if with_face / images < GOOD_FACES:
        text += "; WARNING: the others can be compared with nobody: check the images, and faces.detector"
    return text


def _values(spec: AuditSpec, probe: SampleProbe) -> str:
    """Where the values lie, in the range that the spec states, and whether they seem to be of another one."""
    shares = np.cumsum(probe.levels) / probe.levels.sum()
    low, high = (int(np.searchsorted(shares, quantile)) / (LEVELS - 1) for quantile in MIDDLE)
    at_ends = float((probe.levels[0] + probe.levels[-1]) / probe.levels.sum())
    first, last, of = _range(spec)
    text = (
        f"98 % lie in {first + low * (last - first):.3g} to {first + high * (last - first):.3g} of {of} "
        f"{first:g} to {last:g}; {at_ends:.0%} at its ends"
    )
    if high - low < NARROW:
        return f"{text}; WARNING: they fill little of it: is {of} right?"
    if at_ends > CLIPPED:
        return f"{text}; WARNING: many are clipped: is {of} right?"
    return text


def _range(spec: AuditSpec) -> tuple[float, float, str]:
    if isinstance(spec.generator, NetworkGenerator):
        return *spec.generator.output.range, "generator.output.range"
    return 0, 255, "the pixels' range"


def require_usable_samples(spec: AuditSpec, probe: SampleProbe) -> None:
    """Raise InvalidSamplesError if the probe shows that an audit would end without verdicts."""
    low, _ = clopper_pearson(probe.invalid / probe.samples, probe.samples)
    if low > spec.limits.invalid_samples:
        what, advice = invalid_wording(spec)
        raise InvalidSamplesError(
            f"{probe.invalid} of {probe.samples} probed samples are no {what} ({probe.reason}), more than "
            f"limits.invalid_samples, {_limit(spec)}: {advice}"
        )
    if not probe.outcomes.get(Outcome.OK):
        outcomes = ", ".join(f"{count} {name}" for name, count in sorted(probe.outcomes.items()))
        raise InvalidSamplesError(
            f"none of {probe.samples} probed samples has a face that can be compared ({outcomes}): check the "
            "generator's images, its `output` in the spec, and faces.detector"
        )
