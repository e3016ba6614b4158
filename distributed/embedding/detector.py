"""SCRFD face detection (Guo et al. 2021, arXiv 2105.04714) for files of the InsightFace format."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from distributed.runtime.onnx_graph import input_shape, read_model
from distributed.runtime.onnx_session import BatchedModel
from schemas.errors import ModelError
from schemas.spec.faces import Search

# Number of feature maps -> their strides and the anchors at each of their cells.
PYRAMIDS = {3: ((8, 16, 32), 2), 5: ((8, 16, 32, 64, 128), 1)}
SCORE, BOX, LANDMARKS = 1, 4, 10
NMS_OVERLAP = 0.4
# Dividing by a power of two is multiplying by its inverse, to the last bit, and slower.
MEAN, STD = np.float32(127.5), np.float32(128)
# On a CPU images of 128×128 gain a third from company, images of 640×640 nothing, so memory decides. The
# number for CUDA is not measured.
PIXELS_PER_RUN = {"cpu": 640 * 640, "cuda": 32 * 640 * 640}

Float32 = NDArray[np.float32]
Image = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Face:
    """One detected face, in pixels of its image: box (4,) x1, y1, x2, y2; landmarks (5, 2); score in 0-1."""

    box: Float32
    score: float
    landmarks: Float32

    @property
    def area(self) -> float:
        return float((self.box[2] - self.box[0]) * (self.box[3] - self.box[1]))


class Detector:
    """Finds faces and their five landmarks.

    By `all` every image is searched at each of several square input sizes, and what is found is merged:
    SCRFD overlooks faces that fill the picture at 640, and a smaller size brings them back (as insightface
    2.1 does). By `first` the sizes are tried in rising order, and the next one only on images in which none
    was found: a face that fills the picture is found at 128 in a twentieth of the time, and small faces
    beside it are not seen.
    """

    def __init__(
        self,
        path: Path,
        *,
        sizes: Sequence[int],
        threshold: float,
        device: str,
        threads: int,
        search: Search = "all",
    ) -> None:
        """Raises ValueError for a size that 32 does not divide, ModelError for a file that is no SCRFD."""
        if not sizes or any(size <= 0 or size % 32 for size in sizes):
            raise ValueError(f"sizes must be positive multiples of 32, got {list(sizes)}")
        self._sizes = tuple(dict.fromkeys(sizes))
        self._threshold, self._method = threshold, search
        self._pixels_per_run = PIXELS_PER_RUN[device]
        self._batches: dict[int, Float32] = {}
        model = read_model(path)
        shape = input_shape(model)
        if shape is None or len(shape) != 4 or shape[1] not in (3, None):
            raise _not_scrfd(path, f"its input is {shape}")
        probe = (3, min(sizes), min(sizes))
        self._model = BatchedModel(
            path, model, probe=probe, value_range=(-1.0, 1.0), device=device, threads=threads, free=(0, 2, 3)
        )
        for size in self._sizes:
            self._maps = _read_maps(path, self._model, size)

    @property
    def batched(self) -> bool:
        """Whether the model takes several images at once."""
        return self._model.batched

    def detect(self, images: Sequence[Image]) -> list[list[Face]]:
        """The faces of each image (uint8, H×W×3, RGB, any sizes), by falling score."""
        if self._method == "first":
            return self._first(images)
        by_size = [self._search(images, size) for size in self._sizes]
        return [_merge(np.concatenate(candidates)) for candidates in zip(*by_size, strict=True)]

    def _first(self, images: Sequence[Image]) -> list[list[Face]]:
        faces: list[list[Face]] = [[] for _ in images]
        for size in sorted(self._sizes):
            places = [place for place, known in enumerate(faces) if not known]
            searched = self._search([images[place] for place in places], size)
            for place, candidates in zip(places, searched, strict=True):
                faces[place] = _merge(candidates)
        return faces

    def _search(self, images: Sequence[Image], size: int) -> list[Float32]:
        """For each image, (k, 15) candidates in its pixels: box, score, landmarks."""
        candidates: list[Float32] = []
        step = max(1, self._pixels_per_run // size**2)
        for start in range(0, len(images), step):
            part = images[start : start + step]
            batch = self._batch(size, len(part))
            scales = [_letterbox(image, canvas) for image, canvas in zip(part, batch, strict=True)]
            rows, owner = self._decode(self._model.run(batch), size)
            candidates += [_unscale(rows[owner == i], scale) for i, scale in enumerate(scales)]
        return candidates

    def _batch(self, size: int, count: int) -> Float32:
        """Room for `count` images; made once, for new memory costs more than filling it."""
        room = self._batches.setdefault(size, np.empty((0, 3, size, size), np.float32))
        if len(room) < count:
            room = self._batches[size] = np.empty((count, 3, size, size), np.float32)
        return room[:count]

    def _decode(self, outputs: Sequence[Float32], size: int) -> tuple[Float32, NDArray[np.intp]]:
        """All candidates over the threshold, (k, 15) in pixels of the canvas, and the image each is in."""
        rows, owners = [], []
        for level in self._maps:
            scores = outputs[level.score].reshape(len(outputs[level.score]), -1)
            image, anchor = np.nonzero(scores >= self._threshold)
            centres = level.centres(size)[anchor]
            box = level.gather(outputs[level.box], BOX, image, anchor)
            landmarks = level.gather(outputs[level.landmarks], LANDMARKS, image, anchor)
            corners = (centres - box[:, :2], centres + box[:, 2:])
            rows.append(np.hstack([*corners, scores[image, anchor, None], np.tile(centres, 5) + landmarks]))
            owners.append(image)
        return np.vstack(rows), np.concatenate(owners)


@dataclass(frozen=True)
class _FeatureMap:
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
    y, x = np.mgrid[: size // stride, : size // stride]
    cells = np.stack([x, y], axis=-1).reshape(-1, 2).astype(np.float32) * stride
    centres = np.repeat(cells, anchors, axis=0)
    centres.flags.writeable = False
    return centres


def _read_maps(path: Path, model: BatchedModel, size: int) -> list[_FeatureMap]:
    """What each output means, from a trial run. Raises ModelError if they are not those of an SCRFD."""
    outputs = model.run(np.zeros((1, 3, size, size), np.float32))
    shapes = [output.shape for output in outputs]
    # Larger maps have smaller strides, so falling length puts each kind in the order of the strides.
    score, box, landmarks = (
        sorted(
            (i for i, shape in enumerate(shapes) if shape[-1:] == (width,)), key=lambda i: -outputs[i].size
        )
        for width in (SCORE, BOX, LANDMARKS)
    )
    levels = len(score)
    if levels in PYRAMIDS and levels == len(box) == len(outputs) / 2:
        raise ModelError(
            f"{path} is an SCRFD without landmarks, by which faces are aligned: use the variant with them,"
            " whose name has `kps`"
        )
    if levels not in PYRAMIDS or not levels == len(box) == len(landmarks) == len(outputs) / 3:
        raise _not_scrfd(path, f"its outputs are {shapes}")
    strides, anchors = PYRAMIDS[levels]
    maps = [_FeatureMap(strides[i], anchors, score[i], box[i], landmarks[i]) for i in range(levels)]
    for level in maps:
        rows = len(level.centres(size))
        if [outputs[i].size for i in (level.score, level.box, level.landmarks)] != [
            rows,
            4 * rows,
            10 * rows,
        ]:
            raise _not_scrfd(path, f"for an input of {size}×{size} its outputs are {shapes}")
    return maps


def _not_scrfd(path: Path, actual: str) -> ModelError:
    return ModelError(
        f"{path} is not an InsightFace SCRFD detector with landmarks: expected one N×3×H×W input and, for"
        f" each stride (8, 16, 32 or 8 to 128), outputs with 1, 4 and 10 columns, but {actual}"
    )


def _letterbox(image: Image, canvas: Float32) -> float:
    """Fit the image into the top left of `canvas` (3, size, size), normalised, black around it.

    Returns the scale that did it.
    """
    size = canvas.shape[1]
    height, width = image.shape[:2]
    ratio = height / width
    fitted = (max(1, int(size / ratio)), size) if ratio > 1 else (size, max(1, int(size * ratio)))
    planes = cv2.split(cv2.resize(image, fitted))
    if fitted != (size, size):
        canvas[:] = (0 - MEAN) / STD
    for plane, target in zip(planes, canvas[:, : fitted[1], : fitted[0]], strict=True):
        np.subtract(plane, MEAN, out=target, dtype=np.float32)
        target *= 1 / STD
    return float(fitted[1] / height)


def _unscale(rows: Float32, scale: float) -> Float32:
    return np.hstack([rows[:, :4] / scale, rows[:, 4:5], rows[:, 5:] / scale]).astype(np.float32)


def _merge(rows: Float32) -> list[Face]:
    rows = rows[np.argsort(-rows[:, 4], kind="stable")]
    return [
        Face(box=row[:4], score=float(row[4]), landmarks=row[5:].reshape(5, 2))
        for row in rows[_suppress(rows[:, :4])]
    ]


def _suppress(boxes: Float32) -> list[int]:
    """Greedy non-maximum suppression of (k, 4) boxes sorted by falling score: the indices that stay.

    A box spans its end pixels, hence the 1, as in insightface: it decides for faces a few pixels wide.
    """
    low, high = boxes[:, :2], boxes[:, 2:] + 1
    areas = (high - low).prod(axis=1)
    keep: list[int] = []
    left = np.arange(len(boxes))
    while left.size:
        first, left = left[0], left[1:]
        keep.append(int(first))
        shared = np.maximum(np.minimum(high[first], high[left]) - np.maximum(low[first], low[left]), 0).prod(
            axis=1
        )
        left = left[shared / (areas[first] + areas[left] - shared) <= NMS_OVERLAP]
    return keep
