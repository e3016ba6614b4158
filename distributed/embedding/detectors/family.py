"""What the families of face detectors have in common: pixels in, candidates out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import ClassVar, Literal, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from schemas.errors import ModelError

Float32 = NDArray[np.float32]
Candidates = tuple[Float32, NDArray[np.intp]]
"""(k, 15) box x1, y1, x2, y2, score, landmarks x, y in pixels of the input, and the image that each is in."""

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Pixels:
    """What a network takes: `(x - mean) / std` of values 0-255 in this order of channels."""

    channels: Literal["rgb", "bgr"]
    mean: tuple[float, float, float]
    std: float

    @property
    def range(self) -> tuple[float, float]:
        return (0 - max(self.mean)) / self.std, (255 - min(self.mean)) / self.std

    @property
    def text(self) -> str:
        return f"{self.channels} mean {self.mean} std {self.std:g}"


class Family(Protocol):
    """One published kind of detector, told by its graph's outputs. overlap: of two boxes of one face."""

    name: ClassVar[str]
    outputs: ClassVar[tuple[int, ...]]
    pixels: ClassVar[Pixels]
    overlap: ClassVar[float]

    @classmethod
    def read(cls, path: Path, outputs: Sequence[Float32], size: int) -> Self:
        """What each output means, from a trial run on an image of size×size.

        Raises ModelError if they are not those of the family.
        """

    def decode(self, outputs: Sequence[Float32], size: int, threshold: float) -> Candidates:
        """The candidates whose score is `threshold` or more, in images of size×size."""


def of_width(shapes: Sequence[Shape], width: int) -> list[int]:
    """The numbers of the outputs N×rows×width or rows×width, the one with the most rows first.

    Larger maps have smaller strides, so this is the order of the strides.
    """
    chosen = (i for i, shape in enumerate(shapes) if shape[-1:] == (width,))
    return sorted(chosen, key=lambda i: -int(np.prod(shapes[i])))


@cache
def cells(stride: int, size: int) -> Float32:
    """(cells, 2) column and row of the cells of a size×size image, row by row."""
    y, x = np.mgrid[: -(-size // stride), : -(-size // stride)]
    places = np.stack([x, y], axis=-1).reshape(-1, 2).astype(np.float32)
    places.flags.writeable = False
    return places


def no_detector(path: Path, actual: str) -> ModelError:
    return ModelError(
        f"{path} is not a face detector with landmarks that idleak reads (SCRFD, YuNet of 2023, RetinaFace:"
        f" docs/models.md): {actual}"
    )
