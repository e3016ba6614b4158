"""From ids to templates: sample, find the face, embed."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from distributed.embedding.extractor import FaceBatch
from distributed.runtime.memory_errors import is_out_of_memory
from distributed.sampling.adapters import CheckedSource
from distributed.sampling.generator import AnsweringSource, Image, ImageSource, InvalidImage
from distributed.stages.making.models import open_extractor, open_source
from distributed.stages.making.setup import Setup
from schemas.run.shard import BATCH_IMAGES, Shard

DECODED_IMAGES = 4
"""Small files can hold as many pixels as `limits.pixels` allows: few are decoded before a check."""

HELD_BYTES = 1 << 28


@dataclass(frozen=True)
class EmbeddedShard:
    """A shard before it is written.

    reasons: why images are invalid. digests: of the images as they came, where they cannot be made again.
    """

    faces: FaceBatch
    seconds: dict[str, float]
    reasons: Sequence[str]
    digests: Sequence[str | None] | None = None


class ShardEmbedder:
    """Samples and embeds shards of one setup; its models are loaded once."""

    def __init__(self, setup: Setup, source: ImageSource | None = None) -> None:
        """source: of the setup, if it is open already.

        Raises ModelError or DeviceError if a model cannot be loaded on the setup's device.
        """
        self.source = open_source(setup) if source is None else source
        self.answering = self.source.answering if isinstance(self.source, CheckedSource) else None
        self.extractor = open_extractor(setup)
        self.images_at_once = BATCH_IMAGES
        generator = setup.spec.generator
        # An API is asked for many images at once, and each is bounded by itself.
        is_decoded = setup.photos is not None or (generator.repeatable and not generator.seeded)
        self._sampled_at_once = DECODED_IMAGES if is_decoded else BATCH_IMAGES

    @property
    def batches(self) -> dict[str, int]:
        """Recogniser name -> crops that it takes at once."""
        return self.extractor.batches

    def embed(self, shard: Shard) -> EmbeddedShard:
        """Outcomes and templates of the shard's images, in the order of ids."""
        seconds = dict.fromkeys(("generate", *self.extractor.timings), 0.0)
        before = dict(self.extractor.timings)
        if self.answering is not None:
            self.answering.expect(shard.ids)
        parts: list[FaceBatch] = []
        reasons: list[str] = []
        for ids in batches(shard):
            parts += self._embedded(ids, seconds, reasons)
        seconds |= {stage: total - before[stage] for stage, total in self.extractor.timings.items()}
        digests = None if self.answering is None else self.answering.digests(shard.ids)
        return EmbeddedShard(FaceBatch.joined(parts), seconds, reasons, digests)

    def embed_ids(self, ids: NDArray[np.int64]) -> FaceBatch:
        """Outcomes and templates of a few images."""
        return FaceBatch.joined(self._embedded(ids, {"generate": 0.0}, []))

    def _embedded(
        self, ids: NDArray[np.int64], seconds: dict[str, float], reasons: list[str]
    ) -> list[FaceBatch]:
        """The batch, in parts that memory suffices for: no image depends on the others."""
        parts = []
        for first in range(0, len(ids), self.images_at_once):
            some = ids[first : first + self.images_at_once]
            try:
                parts.append(self._together(some, seconds, reasons))
            except Exception as error:
                if not is_out_of_memory(error) or len(some) == 1:
                    raise
                self.images_at_once = len(some) // 2
                return parts + self._embedded(ids[first:], seconds, reasons)
        return parts

    def _together(self, ids: NDArray[np.int64], seconds: dict[str, float], reasons: list[str]) -> FaceBatch:
        """The batch at once; where its images are very large, a few after the others."""
        parts, problems = [], []
        for images in self._sampled(ids, seconds):
            parts.append(typed(self.extractor.extract([_or_none(image) for image in images]), images))
            problems += [image.reason if isinstance(image, InvalidImage) else None for image in images]
        pairs = zip(ids, problems, strict=True)
        reasons += [f"{id_}: {problem}" for id_, problem in pairs if problem is not None]
        return FaceBatch.joined(parts)

    def _sampled(
        self, ids: NDArray[np.int64], seconds: dict[str, float]
    ) -> Iterator[list[Image | InvalidImage]]:
        """The images in order, in lists that are cut when they hold more than HELD_BYTES."""
        held: list[Image | InvalidImage] = []
        for first in range(0, len(ids), self._sampled_at_once):
            start = time.perf_counter()
            held += self.source.sample(ids[first : first + self._sampled_at_once])
            seconds["generate"] += time.perf_counter() - start
            if sum(image.nbytes for image in held if not isinstance(image, InvalidImage)) > HELD_BYTES:
                yield held
                held = []
        if held:
            yield held


class Embedder(Protocol):
    """What a shard is made by. images_at_once: of a batch; batches: recogniser name -> crops at once."""

    images_at_once: int
    answering: AnsweringSource | None

    @property
    def batches(self) -> dict[str, int]: ...

    def embed(self, shard: Shard) -> EmbeddedShard:
        """Outcomes and templates of the shard's images, in the order of ids."""


def _or_none(image: Image | InvalidImage) -> Image | None:
    return None if isinstance(image, InvalidImage) else image


def batches(shard: Shard) -> Iterator[NDArray[np.int64]]:
    """The shard's ids, in runs of at most BATCH_IMAGES."""
    for first in range(shard.first_id, shard.stop_id, BATCH_IMAGES):
        yield np.arange(first, min(first + BATCH_IMAGES, shard.stop_id), dtype=np.int64)


def typed(faces: FaceBatch, images: Sequence[Image | InvalidImage]) -> FaceBatch:
    """The batch with the outcomes of samples that are not images."""
    pairs = zip(faces.outcome, images, strict=True)
    outcome = [image.outcome.value if isinstance(image, InvalidImage) else known for known, image in pairs]
    return replace(faces, outcome=outcome)
