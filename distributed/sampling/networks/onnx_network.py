"""A network in an ONNX file: latents in, images out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from distributed.runtime.onnx_graph import graph_inputs, read_model, shape_of
from distributed.runtime.onnx_session import BatchedModel, ManyInputModel
from distributed.sampling.generator import Image, InvalidImage
from distributed.sampling.networks.network import NetworkInputs, output_problem, to_images
from schemas.errors import ModelError
from schemas.spec.generators.onnx import OnnxGenerator

Float32 = NDArray[np.float32]
PROBE_IDS = np.arange(3)


class OnnxImageGenerator:
    """Sample i: the network's image for the i-th latent of the seed."""

    def __init__(self, spec: OnnxGenerator, seed: int, *, device: str, threads: int) -> None:
        """Raises ModelError if the file does not turn latents of `spec.latent.dim` into RGB images."""
        path = Path(spec.path)
        model = read_model(path)
        self._spec, self._inputs = spec, NetworkInputs(spec, seed)
        self._latent = _require_inputs(path, model, spec)
        self._one: BatchedModel | None = None
        if spec.inputs:
            probe = self._feeds(PROBE_IDS)
            self._many = ManyInputModel(path, model, probe=probe, device=device, threads=threads)
        else:
            self._one = BatchedModel(
                path,
                model,
                probe=(spec.latent.dim,),
                value_range=(-1.0, 1.0),
                device=device,
                threads=threads,
            )
        if problem := output_problem(self._run(np.zeros(1, np.int64)), spec.output):
            raise ModelError(f"{path} {problem}")

    def sample(self, ids: NDArray[np.int64]) -> list[Image | InvalidImage]:
        """The images of `ids`; one that cannot be an image is invalid."""
        return to_images(self._run(ids), self._spec.output)

    def _feeds(self, ids: NDArray[np.int64]) -> dict[str, Any]:
        return {self._latent: self._inputs.latents(ids)} | self._inputs.others(ids)

    def _run(self, ids: NDArray[np.int64]) -> Float32:
        if self._one is not None:
            return self._one.run(self._inputs.latents(ids))[0]
        return self._many.run(self._feeds(ids))[0]


def _require_inputs(path: Path, model: onnx.ModelProto, spec: OnnxGenerator) -> str:
    """The name of the input that takes the latent. Raises ModelError if they are not as the spec says."""
    dim, shapes = (
        spec.latent.dim,
        {graph_input.name: shape_of(graph_input) for graph_input in graph_inputs(model.graph)},
    )
    if unknown := spec.inputs.keys() - shapes.keys():
        raise ModelError(
            f"{path} has no input {min(unknown)!r}, it has {list(shapes)}: correct generator.inputs"
        )
    rest = [name for name in shapes if name not in spec.inputs]
    if len(rest) != 1:
        raise ModelError(
            f"{path} must have one input of shape (batch, {dim}) beside those in generator.inputs, "
            f"it has {rest}: give the others in generator.inputs"
        )
    _require_latent(path, shapes[rest[0]], dim)
    return rest[0]


def _require_latent(path: Path, shape: Sequence[int | None], dim: int) -> None:
    if len(shape) != 2:
        raise ModelError(
            f"{path} must have one input of shape (batch, {dim}), its input is of shape {tuple(shape)}"
        )
    if shape[1] not in (None, dim):
        raise ModelError(
            f"{path} takes latents of length {shape[1]}: set generator.latent.dim to it, not {dim}"
        )
