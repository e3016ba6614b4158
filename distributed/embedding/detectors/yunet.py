"""YuNet (Wu et al. 2023, doi 10.1007/s11633-023-1423-y) as OpenCV publishes it since March 2023."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

import numpy as np

from distributed.embedding.detectors.family import Candidates, Float32, Pixels, cells, no_detector, of_width

STRIDES = (8, 16, 32)
SCORE, BOX, LANDMARKS = 1, 4, 10


@dataclass(frozen=True)
class Yunet:
    """One place per cell: class and objectness, centre and size, five points; in strides, from the cell.

    Decoded as by OpenCV's FaceDetectorYN (modules/objdetect/src/face_detect.cpp), whose score is the
    geometric mean of class and objectness, so that it need not be known which of the two is which.
    """

    name: ClassVar[str] = "YuNet"
    outputs: ClassVar[tuple[int, ...]] = (12,)
    pixels: ClassVar[Pixels] = Pixels("bgr", (0, 0, 0), 1)
    overlap: ClassVar[float] = 0.3

    score: tuple[int, ...]
    box: tuple[int, ...]
    landmarks: tuple[int, ...]

    @classmethod
    def read(cls, path: Path, outputs: Sequence[Float32], size: int) -> Self:
        shapes = [output.shape for output in outputs]
        score, box, landmarks = (of_width(shapes, width) for width in (SCORE, BOX, LANDMARKS))
        rows = [len(cells(stride, size)) for stride in STRIDES]
        expected = [[shape * width for shape in rows] for width in (SCORE, BOX, LANDMARKS)]
        actual = [[outputs[i].size for i in numbers] for numbers in (score[::2], box, landmarks)]
        if actual != expected or [outputs[i].size for i in score[1::2]] != expected[0]:
            raise no_detector(path, f"for an input of {size}×{size} its outputs are {shapes}")
        return cls(tuple(score), tuple(box), tuple(landmarks))

    def decode(self, outputs: Sequence[Float32], size: int, threshold: float) -> Candidates:
        rows, owners = [], []
        for level, stride in enumerate(STRIDES):
            pair = (outputs[i] for i in self.score[2 * level : 2 * level + 2])
            first, second = (np.clip(output.reshape(len(output), -1), 0, 1) for output in pair)
            scores = np.sqrt(first * second)
            image, cell = np.nonzero(scores >= threshold)
            places = cells(stride, size)[cell]
            box = _rows(outputs[self.box[level]], BOX)[image, cell]
            points = _rows(outputs[self.landmarks[level]], LANDMARKS)[image, cell]
            centres, half = places + box[:, :2], np.exp(box[:, 2:]) / 2
            corners = np.hstack([centres - half, centres + half]) * np.float32(stride)
            landmarks = (np.tile(places, 5) + points) * np.float32(stride)
            rows.append(np.hstack([corners, scores[image, cell, None], landmarks]))
            owners.append(image)
        return np.vstack(rows), np.concatenate(owners)


def _rows(output: Float32, width: int) -> Float32:
    return output.reshape(len(output), -1, width)
