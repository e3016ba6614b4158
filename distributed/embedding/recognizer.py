"""Face recognition: aligned crops to templates."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from distributed.embedding.batch_probe import BATCH_SIZES, fastest_batch
from distributed.runtime.onnx_graph import input_shape, make_batch_dynamic, read_model
from distributed.runtime.onnx_surgery import make_float32
from distributed.runtime.torch_batches import CUDA_BATCH, open_images_model
from schemas.errors import ModelError
from schemas.spec.faces import RecognizerInput

GREY = 127

Float32 = NDArray[np.float32]


class Recognizer:
    """An ONNX face recogniser with its preprocessing.

    `size` is the side of its crops, `dim` the length of its templates; both are found from the file. `batch`
    is how many crops it takes at once.
    """

    def __init__(
        self,
        name: str,
        path: Path,
        given: RecognizerInput,
        *,
        device: str,
        threads: int,
        batch: int | None = None,
    ) -> None:
        """given: its preprocessing. batch: crops at once; None: on a CPU the fastest by a short probe.

        Raises ModelError if the file is not a recogniser with one input of faces and one output that is a
        template.
        """
        self.name = name
        self.path = path
        self.flip = given.channels == "bgr"
        self.mean, self.std = np.asarray(given.mean, np.float32), np.asarray(given.std, np.float32)
        model = read_model(path)
        self.size, self.margin, self.channels_first = _read_input(path, input_shape(model))
        make_float32(model)
        low, high = (0 - self.mean) / self.std, (255 - self.mean) / self.std
        self._model = open_images_model(
            path,
            model,
            probe=self.input_shape,
            value_range=(float(low.min()), float(high.max())),
            device=device,
            threads=threads,
        )
        trial = self._model.run(self.prepare(np.full((1, self.size, self.size, 3), GREY, np.uint8)))
        self.output = _read_output(path, trial)
        self.dim = trial[self.output].size
        usual = batch or (CUDA_BATCH if device == "cuda" else self._probe())
        self.batch = self._model.fixed or usual

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Of one crop."""
        width = self.size - 2 * self.margin
        return (3, self.size, width) if self.channels_first else (self.size, width, 3)

    def graph(self) -> onnx.ModelProto:
        """The file's graph in float32, with a free batch where it can have one. Raises ModelError."""
        model = read_model(self.path)
        make_float32(model)
        return make_batch_dynamic(model) or model

    def raw(self, inputs: Float32) -> Float32:
        """The model's output that is a template, in float32 (N, …), for what `prepare` gives."""
        return self._model.reference(inputs)[self.output]

    @property
    def batched(self) -> bool:
        """Whether the model takes several crops at once."""
        return self._model.batched

    def embed(self, crops: NDArray[np.uint8]) -> Float32:
        """Unit-norm templates, float32 N×dim, of `crops`, uint8 N×size×size×3 RGB.

        Raises ValueError for crops of another shape, ModelError if a template is zero or not finite.
        """
        if crops.shape[1:] != (self.size, self.size, 3):
            raise ValueError(f"crops must be N×{self.size}×{self.size}×3, got {crops.shape}")
        raw = [self._run(crops[start : start + self.batch]) for start in range(0, len(crops), self.batch)]
        return self._normalize(np.concatenate([np.empty((0, self.dim), np.float32), *raw]))

    def _probe(self) -> int:
        if not self.batched:
            return 1
        shape = (max(BATCH_SIZES), self.size, self.size, 3)
        crops = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
        return fastest_batch(lambda batch: self._model.run(batch)[self.output], self.prepare(crops))

    def _run(self, crops: NDArray[np.uint8]) -> Float32:
        outputs = self._model.run(self.prepare(crops))
        return outputs[self.output].reshape(len(crops), self.dim)

    def prepare(self, crops: NDArray[np.uint8]) -> Float32:
        """The model's input for crops, uint8 N×size×size×3 RGB."""
        crops = crops[:, :, self.margin : self.size - self.margin]
        images = crops[..., ::-1] if self.flip else crops
        # Plane by plane: arithmetic over a last axis of three takes ten times as long.
        planes = np.ascontiguousarray(images.transpose(0, 3, 1, 2)).astype(np.float32)
        planes -= self.mean[:, None, None]
        planes /= self.std[:, None, None]
        return planes if self.channels_first else np.ascontiguousarray(planes.transpose(0, 2, 3, 1))

    def _normalize(self, raw: Float32) -> Float32:
        norms = np.linalg.norm(raw.astype(np.float64), axis=1, keepdims=True)
        if not (np.isfinite(norms).all() and (norms > 0).all()):
            raise ModelError(
                f"{self.path} returned templates that are zero or not finite: the file is damaged or"
                f" the input settings of recogniser {self.name!r} are wrong"
            )
        return np.asarray(raw / norms, np.float32)


def _read_input(path: Path, shape: tuple[int | None, ...] | None) -> tuple[int, int, bool]:
    """The side of the crop, how many columns the model does without on each side, and whether the channels
    come before the pixels.

    SphereFace's 112×96 (Liu et al. 2017, arXiv 1704.08063) is the middle of ArcFace's 112×112: its five
    points are those of the ArcFace template, 8 columns further left.
    """
    match shape:
        case (_, 3, int(height), int(width)) if _fits(height, width):
            return height, (height - width) // 2, True
        case (_, int(height), int(width), 3) if _fits(height, width):
            return height, (height - width) // 2, False
    raise ModelError(
        f"{path} is not a face recogniser: expected one input N×3×S×S or N×S×S×3 with the side S stated,"
        f" or SphereFace's 112×96, but its input is {shape}"
    )


def _fits(height: int, width: int) -> bool:
    return height == width or (height, width) == (112, 96)


def _read_output(path: Path, trial: Sequence[Float32]) -> int:
    """The number of the output that is a template, or the only output.

    AdaFace gives its norm besides, one number, and CurricularFace the feature map that it is made of.
    """
    vectors = [i for i, output in enumerate(trial) if 1 < output.size == max(output.shape)]
    if len(trial) == 1 and trial[0].size > 1:
        return 0
    if len(vectors) != 1:
        raise ModelError(
            f"{path} is not a face recogniser: expected one output with a template per face,"
            f" but its outputs are {[output.shape for output in trial]}"
        )
    return vectors[0]
