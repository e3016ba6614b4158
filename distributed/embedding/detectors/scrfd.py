"""SCRFD (Guo et al. 2021, arXiv 2105.04714), for files of the InsightFace format."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from distributed.embedding.detectors.family import Candidates, Float32, Pixels, cells, no_detector, of_width
from schemas.errors import ModelError

# Number of feature maps -> their strides and the anchors at each of their cells.
PYRAMIDS = {3: ((8, 16, 32), 2), 5: ((8, 16, 32, 64, 128), 1)}
SCORE, BOX, LANDMARKS = 1, 4, 10


@dataclass(frozen=True)
class Scrfd:
    """Distances from the centres of anchors, in strides."""

    name: ClassVar[str] = "SCRFD"
    outputs: ClassVar[tuple[int, ...]] = (6, 9, 10, 15)
    pixels: ClassVar[Pixels] = Pixels("rgb", (127.5, 127.5, 127.5), 128)
    overlap: ClassVar[float] = 0.4

    maps: tuple[FeatureMap, ...]

    @classmethod
    def read(cls, path: Path, outputs: Sequence[Float32], size: int) -> Self:
        shapes = [output.shape for output in outputs]
        score, box, landmarks = (of_width(shapes, width) for width in (SCORE, BOX, LANDMARKS))
        levels = len(score)
        if levels in PYRAMIDS and levels == len(box) == len(outputs) / 2:
            raise ModelError(
                f"{path} is an SCRFD without landmarks, by which faces are aligned: use the variant with"
                " them, whose name has `kps`"
            )
        if levels not in PYRAMIDS or not levels == len(box) == len(landmarks) == len(outputs) / 3:
            raise no_detector(path, f"its outputs are {shapes}")
        strides, anchors = PYRAMIDS[levels]
        maps = tuple(FeatureMap(strides[i], anchors, score[i], box[i], landmarks[i]) for i in range(levels))
        for level in maps:
            rows = len(level.centres(size))
            sizes = [outputs[i].size for i in (level.score, level.box, level.landmarks)]
            if sizes != [SCORE * rows, BOX * rows, LANDMARKS * rows]:
                raise no_detector(path, f"for an input of {size}×{size} its outputs are {shapes}")
        return cls(maps)

    def decode(self, outputs: Sequence[Float32], size: int, threshold: float) -> Candidates:
        rows, owners = [], []
        for level in self.maps:
            scores = outputs[level.score].reshape(len(outputs[level.score]), -1)
            image, anchor = np.nonzero(scores >= threshold)
            centres = level.centres(size)[anchor]
            box = level.gather(outputs[level.box], BOX, image, anchor)
            landmarks = level.gather(outputs[level.landmarks], LANDMARKS, image, anchor)
            corners = (centres - box[:, :2], centres + box[:, 2:])
            rows.append(np.hstack([*corners, scores[image, anchor, None], np.tile(centres, 5) + landmarks]))
            owners.append(image)
        return np.vstack(rows), np.concatenate(owners)


@dataclass(frozen=True)
class FeatureMap:
    """One level of the pyramid: its stride, anchors per cell, and the numbers of its outputs."""

    stride: int
    anchors: int
    score: int
    box: int
    landmarks: int

    def centres(self, size: int) -> Float32:
        return _anchor_centres(self.stride, self.anchors, size)

    def gather(
        self, output: Float32, width: int, image: NDArray[np.intp], anchor: NDArray[np.intp]
    ) -> Float32:
        """(k, width) distances in pixels at the given images and anchors."""
        return output.reshape(len(output), -1, width)[image, anchor] * np.float32(self.stride)


@cache
def _anchor_centres(stride: int, anchors: int, size: int) -> Float32:
    """(cells × anchors, 2) x, y of the anchors in pixels of a size×size canvas, row by row."""
    centres = np.repeat(cells(stride, size) * np.float32(stride), anchors, axis=0)
    centres.flags.writeable = False
    return centres
