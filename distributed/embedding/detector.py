"""Face detection: images fitted to square inputs, the network's candidates merged to faces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import onnx
from numpy.typing import NDArray

from distributed.embedding.detectors.family import Family, Pixels
from distributed.embedding.detectors.known import family_of
from distributed.runtime.onnx_graph import input_shape, make_batch_dynamic, read_model
from distributed.runtime.onnx_session import BatchedModel
from distributed.runtime.onnx_surgery import make_float32
from distributed.runtime.torch_batches import TorchBatches, open_images_model
from schemas.errors import ModelError
from schemas.spec.faces import Search

# On a CPU images of 128×128 gain a third from company, images of 640×640 nothing, so memory decides.
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
        """Raises ValueError for a size that 32 does not divide, ModelError for a file of no known family."""
        if not sizes or any(size <= 0 or size % 32 for size in sizes):
            raise ValueError(f"sizes must be positive multiples of 32, got {list(sizes)}")
        self.sizes = tuple(dict.fromkeys(sizes))
        self.threshold, self.search = threshold, search
        self.path = path
        self._pixels_per_run = PIXELS_PER_RUN[device]
        self._batches: dict[int, Float32] = {}
        model = read_model(path)
        family = family_of(path, model)
        make_float32(model)
        self._pixels, self._overlap = family.pixels, family.overlap
        self._model = open_images_model(
            path,
            model,
            probe=(3, min(sizes), min(sizes)),
            value_range=family.pixels.range,
            device=device,
            threads=threads,
            free=(0, 2, 3),
        )
        own = (input_shape(model) or ())[2:]
        for size in self.sizes:
            self.family = _read(path, family, self._model, size, own)

    @property
    def batched(self) -> bool:
        """Whether the model takes several images at once."""
        return self._model.batched

    def graph(self) -> onnx.ModelProto:
        """The file's graph in float32, with a free batch and free sizes. Raises ModelError."""
        model = read_model(self.path)
        make_float32(model)
        return make_batch_dynamic(model, free=(0, 2, 3)) or model

    def raw(self, canvases: Float32) -> list[Float32]:
        """The model's outputs in float32 for normalised canvases N×3×size×size."""
        return self._model.reference(canvases)

    def detect(self, images: Sequence[Image]) -> list[list[Face]]:
        """The faces of each image (uint8, H×W×3, RGB, any sizes), by falling score."""
        if self.search == "first":
            return self._first(images)
        by_size = [self._search(images, size) for size in self.sizes]
        together = (np.concatenate(candidates) for candidates in zip(*by_size, strict=True))
        return [_merge(candidates, self._overlap) for candidates in together]

    def _first(self, images: Sequence[Image]) -> list[list[Face]]:
        faces: list[list[Face]] = [[] for _ in images]
        for size in sorted(self.sizes):
            places = [place for place, known in enumerate(faces) if not known]
            searched = self._search([images[place] for place in places], size)
            for place, candidates in zip(places, searched, strict=True):
                faces[place] = _merge(candidates, self._overlap)
        return faces

    def _search(self, images: Sequence[Image], size: int) -> list[Float32]:
        """For each image, (k, 15) candidates in its pixels: box, score, landmarks."""
        candidates: list[Float32] = []
        step = max(1, self._pixels_per_run // size**2)
        for start in range(0, len(images), step):
            part = images[start : start + step]
            batch = self._batch(size, len(part))
            pairs = zip(part, batch, strict=True)
            scales = [_letterbox(image, canvas, self._pixels) for image, canvas in pairs]
            rows, owner = self.family.decode(self._model.run(batch), size, self.threshold)
            candidates += [_unscale(rows[owner == i], scale) for i, scale in enumerate(scales)]
        return candidates

    def _batch(self, size: int, count: int) -> Float32:
        """Room for `count` images; made once, for new memory costs more than filling it."""
        room = self._batches.setdefault(size, np.empty((0, 3, size, size), np.float32))
        if len(room) < count:
            room = self._batches[size] = np.empty((count, 3, size, size), np.float32)
        return room[:count]


def _read(
    path: Path,
    family: type[Family],
    model: BatchedModel | TorchBatches,
    size: int,
    own: tuple[int | None, ...],
) -> Family:
    """own: height and width that the file states. Raises ModelError."""
    try:
        return family.read(path, model.run(np.zeros((1, 3, size, size), np.float32)), size)
    except ModelError as error:
        if own == (size, size) or None in own:
            raise
        raise ModelError(_other_size(path, own, size)) from error


def _other_size(path: Path, own: tuple[int | None, ...], size: int) -> str:
    height, width = own
    refusal = f"{path} finds faces in images of {width}×{height} alone, and not of {size}×{size}"
    if height == width and height is not None and height % 32 == 0:
        return f"{refusal}: set faces.detector.sizes to [{height}], or export it with free height and width"
    return f"{refusal}: export it with free height and width"


def _letterbox(image: Image, canvas: Float32, pixels: Pixels) -> float:
    """Fit the image into the top left of `canvas` (3, size, size), normalised, black around it.

    Returns the scale that did it.
    """
    size = canvas.shape[1]
    height, width = image.shape[:2]
    fitted = fitted_size(height, width, size)
    planes = cv2.split(cv2.resize(image, fitted))
    means = np.array(pixels.mean, np.float32)
    if fitted != (size, size):
        canvas[:] = (-means / np.float32(pixels.std))[:, None, None]
    order = planes if pixels.channels == "rgb" else planes[::-1]
    for plane, mean, target in zip(order, means, canvas[:, : fitted[1], : fitted[0]], strict=True):
        np.subtract(plane, mean, out=target, dtype=np.float32)
        # By a power of two, as all that are known, it is division to the last bit, and faster.
        target *= np.float32(1 / pixels.std)
    return float(fitted[1] / height)


def fitted_size(height: int, width: int, size: int) -> tuple[int, int]:
    """Width and height of an image that is fitted into a square of `size`."""
    ratio = height / width
    return (max(1, int(size / ratio)), size) if ratio > 1 else (size, max(1, int(size * ratio)))


def _unscale(rows: Float32, scale: float) -> Float32:
    return np.hstack([rows[:, :4] / scale, rows[:, 4:5], rows[:, 5:] / scale]).astype(np.float32)


def _merge(rows: Float32, overlap: float) -> list[Face]:
    rows = rows[np.argsort(-rows[:, 4], kind="stable")]
    return [
        Face(box=row[:4], score=float(row[4]), landmarks=row[5:].reshape(5, 2))
        for row in rows[_suppress(rows[:, :4], overlap)]
    ]


def _suppress(boxes: Float32, overlap: float) -> list[int]:
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
        left = left[shared / (areas[first] + areas[left] - shared) <= overlap]
    return keep
