"""RetinaFace (Deng et al. 2020, arXiv 1905.00641) as exported from PyTorch: MobileNet-0.25, ResNet-50."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from scipy.special import softmax

from distributed.embedding.detectors.family import Candidates, Float32, Pixels, cells, no_detector
from schemas.errors import ModelError

SIDES = {8: (16, 32), 16: (64, 128), 32: (256, 512)}
"""Stride -> sides of its priors in pixels (`min_sizes` of github.com/biubug6/Pytorch_Retinaface)."""
VARIANCES = (np.float32(0.1), np.float32(0.2))
BOX, CLASSES, LANDMARKS = 4, 2, 10
OLD_YUNET = (14, 2, 1)
"""Widths of the outputs of YuNet up to 2022, which has three, too."""


@dataclass(frozen=True)
class Retinaface:
    """Boxes, classes and landmarks relative to priors, all strides in one output each.

    logits: the graph leaves the softmax of the classes out. Exports of networks in training do.
    """

    name: ClassVar[str] = "RetinaFace"
    outputs: ClassVar[tuple[int, ...]] = (3,)
    pixels: ClassVar[Pixels] = Pixels("bgr", (104, 117, 123), 1)
    overlap: ClassVar[float] = 0.4

    box: int
    classes: int
    landmarks: int
    logits: bool

    @classmethod
    def read(cls, path: Path, outputs: Sequence[Float32], size: int) -> Self:
        shapes = [output.shape for output in outputs]
        widths = [shape[-1] for shape in shapes if shape]
        if sorted(widths) == sorted(OLD_YUNET):
            raise ModelError(
                f"{path} is a YuNet of 2022 or before, with another form of outputs: use "
                "face_detection_yunet_2023mar.onnx or a later one"
            )
        rows = len(_priors(size)[0])
        if sorted(widths) != [CLASSES, BOX, LANDMARKS] or any(shape[-2:-1] != (rows,) for shape in shapes):
            raise no_detector(path, f"for an input of {size}×{size} its outputs are {shapes}")
        box, classes, landmarks = (widths.index(width) for width in (BOX, CLASSES, LANDMARKS))
        return cls(box, classes, landmarks, logits=not _are_probabilities(outputs[classes]))

    def decode(self, outputs: Sequence[Float32], size: int, threshold: float) -> Candidates:
        box, classes, landmarks = outputs[self.box], outputs[self.classes], outputs[self.landmarks]
        probabilities = softmax(classes, axis=-1) if self.logits else classes
        scores = probabilities[..., 1]
        image, prior = np.nonzero(scores >= threshold)
        centres, sides = (values[prior] for values in _priors(size))
        step = VARIANCES[0] * sides
        middle = centres + box[image, prior, :2] * step
        half = sides * np.exp(box[image, prior, 2:] * VARIANCES[1]) / 2
        points = np.tile(centres, 5) + landmarks[image, prior] * np.tile(step, 5)
        return np.hstack([middle - half, middle + half, scores[image, prior, None], points]), image


def _are_probabilities(classes: Float32) -> bool:
    return bool((classes >= 0).all() and np.allclose(classes.sum(axis=-1), 1, atol=1e-3))


@cache
def _priors(size: int) -> tuple[Float32, Float32]:
    """Centres and sides of the priors, each (k, 2) in pixels: by stride, row by row, the smaller first."""
    centres = [np.repeat((cells(stride, size) + 0.5) * stride, len(s), axis=0) for stride, s in SIDES.items()]
    sides = [np.tile(s, len(cells(stride, size))) for stride, s in SIDES.items()]
    both = np.concatenate(centres), np.repeat(np.concatenate(sides)[:, None], 2, axis=1)
    first, second = (np.asarray(values, np.float32) for values in both)
    first.flags.writeable = second.flags.writeable = False
    return first, second
