"""Images to templates: locate, align, embed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from distributed.embedding.alignment import align
from distributed.embedding.locator import Location, Locator
from distributed.embedding.recognizer import Recognizer
from schemas.run.tables import Outcome

Image = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class FaceBatch:
    """What became of n images, in their order.

    `outcome`: values of Outcome. `faces`: int16 (n,), faces seen. `detection_score`: float32 (n,), NaN where
    nothing was detected. `face_size`: float32 (n,), as `Location.size`, NaN unless a detector has found the
    one face. `templates`: recogniser name -> (n, dim), float32 or, from a GPU, float16, unit
    norm, rows of NaN unless the outcome is ok.
    """

    outcome: list[str]
    faces: NDArray[np.int16]
    detection_score: NDArray[np.float32]
    face_size: NDArray[np.float32]
    templates: dict[str, NDArray[np.floating]]

    @classmethod
    def joined(cls, parts: Sequence[FaceBatch]) -> FaceBatch:
        """The batches one after the other."""
        return cls(
            outcome=[outcome for part in parts for outcome in part.outcome],
            faces=np.concatenate([part.faces for part in parts]),
            detection_score=np.concatenate([part.detection_score for part in parts]),
            face_size=np.concatenate([part.face_size for part in parts]),
            templates={
                name: np.concatenate([part.templates[name] for part in parts]) for name in parts[0].templates
            },
        )


class TemplateExtractor:
    """Turns images into outcomes and templates; `timings` adds up the seconds of detect, align, embed."""

    def __init__(self, recognizers: Sequence[Recognizer], locate: Locator) -> None:
        self.recognizers = tuple(recognizers)
        self.locator = locate
        self.timings = {"detect": 0.0, "align": 0.0, "embed": 0.0}

    @property
    def batches(self) -> dict[str, int]:
        """Recogniser name -> crops that it takes at once."""
        return {recognizer.name: recognizer.batch for recognizer in self.recognizers}

    def extract(self, images: Sequence[Image | None]) -> FaceBatch:
        """`images`: uint8 H×W×3 RGB, any sizes; None stands for one that could not be read."""
        with self._timed("detect"):
            locations = self._locate(images)
        usable = [i for i, location in enumerate(locations) if location.landmarks is not None]
        with self._timed("align"):
            crops = {
                size: _crop(images, locations, usable, size)
                for size in {recognizer.size for recognizer in self.recognizers}
            }
        with self._timed("embed"):
            templates = {
                recognizer.name: _scatter(recognizer, crops[recognizer.size], usable, len(images))
                for recognizer in self.recognizers
            }
        return FaceBatch(
            outcome=[location.outcome.value for location in locations],
            faces=np.array([location.faces for location in locations], np.int16),
            detection_score=np.array([location.score for location in locations], np.float32),
            face_size=np.array([location.size for location in locations], np.float32),
            templates=templates,
        )

    def crops(self, images: Sequence[Image], size: int) -> list[Image | None]:
        """The aligned faces, uint8 size×size×3; None for an image without one that could be embedded."""
        all_landmarks = [location.landmarks for location in self._locate(images)]
        return [
            None if landmarks is None else align(image, landmarks, size)
            for image, landmarks in zip(images, all_landmarks, strict=True)
        ]

    def _locate(self, images: Sequence[Image | None]) -> list[Location]:
        locations = iter(self.locator.locate([image for image in images if image is not None]))
        invalid = Location(Outcome.INVALID_IMAGE, faces=0)
        return [invalid if image is None else next(locations) for image in images]

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        start = perf_counter()
        yield
        self.timings[stage] += perf_counter() - start


def _crop(
    images: Sequence[Image | None], locations: Sequence[Location], usable: Sequence[int], size: int
) -> NDArray[np.uint8]:
    """The usable images' faces, aligned: uint8 k×size×size×3."""
    crops = np.empty((len(usable), size, size, 3), np.uint8)
    for row, i in enumerate(usable):
        image, landmarks = images[i], locations[i].landmarks
        if image is not None and landmarks is not None:
            crops[row] = align(image, landmarks, size)
    return crops


def _scatter(
    recognizer: Recognizer, crops: NDArray[np.uint8], usable: Sequence[int], count: int
) -> NDArray[np.float32]:
    """The crops' templates at their images' rows, NaN elsewhere."""
    templates = np.full((count, recognizer.dim), np.nan, np.float32)
    templates[list(usable)] = recognizer.embed(crops)
    return templates
