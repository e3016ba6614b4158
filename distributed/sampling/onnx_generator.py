"""A generator in an ONNX file: latents in, images out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from distributed.onnx_graph import input_shape, read_model
from distributed.onnx_session import BatchedModel
from distributed.sampling.generator import Image, InvalidImage
from distributed.sampling.latents import standard_normal
from schemas.errors import ModelError
from schemas.spec import ImageOutput, OnnxGenerator

Float32 = NDArray[np.float32]


class OnnxImageGenerator:
    """Sample i: the network's image for the i-th latent of the seed."""

    def __init__(self, spec: OnnxGenerator, seed: int, *, device: str, threads: int) -> None:
        """Raises ModelError if the file does not turn latents of `spec.latent.dim` into RGB images."""
        path = Path(spec.path)
        model = read_model(path)
        self._spec, self._seed, self._dim = spec, seed, spec.latent.dim
        _require_latent(path, input_shape(model), self._dim)
        self._model = BatchedModel(
            path, model, probe=(self._dim,), value_range=(-1.0, 1.0), device=device, threads=threads
        )
        _require_images(path, self._run(np.zeros(1, np.int64)), spec.output)

    def sample(self, ids: NDArray[np.int64]) -> list[Image | InvalidImage]:
        """The images of `ids`; one with a value that is no number is invalid."""
        return [_to_uint8(image, self._spec.output.range) for image in self._to_rgb(self._run(ids))]

    def _run(self, ids: NDArray[np.int64]) -> Float32:
        return self._model.run(standard_normal(self._seed, ids, self._dim))[0]

    def _to_rgb(self, raw: Float32) -> Float32:
        """N × H × W × 3, RGB."""
        images = raw.transpose(0, 2, 3, 1) if self._spec.output.layout == "nchw" else raw
        return images[..., ::-1] if self._spec.output.channels == "bgr" else images


def _require_latent(path: Path, shape: Sequence[int | None] | None, dim: int) -> None:
    if shape is None or len(shape) != 2:
        found = "not exactly one" if shape is None else f"of shape {tuple(shape)}"
        raise ModelError(f"{path} must have one input of shape (batch, {dim}), its input is {found}")
    if shape[1] not in (None, dim):
        raise ModelError(
            f"{path} takes latents of length {shape[1]}: set generator.latent.dim to it, not {dim}"
        )


def _require_images(path: Path, raw: Float32, output: ImageOutput) -> None:
    channels = 1 if output.layout == "nchw" else 3
    if raw.ndim != 4 or raw.shape[channels] != 3:
        raise ModelError(
            f"{path} gives an output of shape {raw.shape} for one latent; generator.output.layout "
            f"{output.layout} wants {'(1, 3, H, W)' if output.layout == 'nchw' else '(1, H, W, 3)'}"
        )


def _to_uint8(image: Float32, value_range: tuple[float, float]) -> Image | InvalidImage:
    if not np.isfinite(image).all():
        return InvalidImage("the generator's output has values that are no numbers")
    low, high = value_range
    scaled: Float32 = (image.astype(np.float32) - low) * (255.0 / (high - low))
    rounded: Image = np.rint(np.clip(scaled, 0, 255)).astype(np.uint8)
    return rounded
