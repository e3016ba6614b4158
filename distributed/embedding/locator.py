"""Where the face of an image is: three ways to find out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from distributed.embedding.alignment import ARCFACE_TEMPLATE, TEMPLATE_SIZE, similarity_transform
from distributed.embedding.detector import Detector, Face
from schemas.run.tables import Outcome

# Another face at least this large, relative to the chosen one, and less than so many face widths further from
# the centre, makes it unclear whose image it is.
RIVAL_AREA, RIVAL_WIDTHS = 0.5, 0.5

Image = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Location:
    """The face of one image: (5, 2) `landmarks` in pixels or, unless ok, None; `score`, and `size`, the side
    in pixels of a square of the face's area, NaN if undetected."""

    outcome: Outcome
    faces: int
    score: float = float("nan")
    landmarks: NDArray[np.floating] | None = None
    size: float = float("nan")


class Locator(Protocol):
    """One way to find the face of an image."""

    def locate(self, images: Sequence[Image]) -> list[Location]:
        """One location for each image (uint8, H×W×3, RGB, any sizes)."""


class DetectorLocator:
    """Detects; an image without a face, or with two that could be meant, is refused."""

    def __init__(self, detector: Detector) -> None:
        self.detector = detector

    def locate(self, images: Sequence[Image]) -> list[Location]:
        detected = self.detector.detect(images)
        return [_choose(faces, image) for faces, image in zip(detected, images, strict=True)]


class FixedLandmarks:
    """The generator puts every face in the same place."""

    def __init__(self, landmarks: ArrayLike) -> None:
        """`landmarks`: (5, 2) pixels of the generator's images. Raises ValueError if they are degenerate."""
        similarity_transform(landmarks, TEMPLATE_SIZE)
        self._location = Location(Outcome.OK, faces=1, landmarks=np.asarray(landmarks, np.float64))

    def locate(self, images: Sequence[Image]) -> list[Location]:
        return [self._location] * len(images)


class AlignedCrops:
    """The images are aligned square crops already; one that is not square is refused."""

    def locate(self, images: Sequence[Image]) -> list[Location]:
        return [_template_of(image) for image in images]


def _template_of(image: Image) -> Location:
    height, width = image.shape[:2]
    if height != width:
        return Location(Outcome.INVALID_IMAGE, faces=0)
    return Location(Outcome.OK, faces=1, landmarks=ARCFACE_TEMPLATE * (height / TEMPLATE_SIZE))


def _choose(faces: Sequence[Face], image: Image) -> Location:
    if not faces:
        return Location(Outcome.NO_FACE, faces=0)
    chosen = max(faces, key=lambda face: _prominence(face, image))
    rivals = [face for face in faces if face is not chosen and _is_rival(face, chosen, image)]
    if rivals:
        return Location(Outcome.SEVERAL_FACES, len(faces), chosen.score)
    return Location(Outcome.OK, len(faces), chosen.score, chosen.landmarks, chosen.area**0.5)


def _is_rival(face: Face, chosen: Face, image: Image) -> bool:
    further = _from_centre(face, image) - _from_centre(chosen, image)
    return face.area >= RIVAL_AREA * chosen.area and further < RIVAL_WIDTHS * chosen.area**0.5


def _prominence(face: Face, image: Image) -> float:
    """Area less twice the squared distance from the image's centre: insightface's rule for the main face."""
    return face.area - 2 * _from_centre(face, image) ** 2


def _from_centre(face: Face, image: Image) -> float:
    """Distance in pixels of the middle of the face from that of the image."""
    centre = np.array([image.shape[1] // 2, image.shape[0] // 2])
    return float(np.linalg.norm((face.box[:2] + face.box[2:]) / 2 - centre))
