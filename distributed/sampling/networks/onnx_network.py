"""A network in an ONNX file: latents in, images out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from distributed.runtime.onnx_graph import read_model
from distributed.runtime.onnx_session import BatchedModel, ManyInputModel
from distributed.sampling.generator import Image, InvalidImage
from distributed.sampling.networks.network import NetworkInputs, output_problem, to_images
from distributed.sampling.networks.onnx_form import make_plain
from schemas.errors import ModelError
from schemas.spec.generators.onnx import OnnxGenerator

Float32 = NDArray[np.float32]
PROBE_IDS = np.arange(3)


class OnnxImageGenerator:
    """Sample i: the network's image for the i-th latent of the seed."""

    def __init__(self, spec: OnnxGenerator, seed: int, *, device: str, threads: int) -> None:
        """Raises ModelError if the file does not turn latents of `spec.latent.dim` into images."""
        path = Path(spec.path)
        model = read_model(path)
        self._spec, self._inputs = spec, NetworkInputs(spec, seed)
        self._form = make_plain(path, model, spec)
        self._single: BatchedModel | None = None
        if spec.inputs:
            probe = self._form.feeds(self._inputs, PROBE_IDS)
            self._many = ManyInputModel(
                path, model, probe=probe, device=device, threads=threads, fixed=self._form.batch
            )
        else:
            self._single = BatchedModel(
                path,
                model,
                probe=(spec.latent.dim,),
                value_range=(-1.0, 1.0),
                device=device,
                threads=threads,
            )
        if problem := output_problem(self.outputs(np.zeros(1, np.int64)).shape, spec.output):
            raise ModelError(f"{path} {problem}")

    @property
    def batched(self) -> bool:
        """Whether it takes batches of any length."""
        model = self._many if self._single is None else self._single
        return model.batched and model.fixed is None

    def sample(self, ids: NDArray[np.int64]) -> list[Image | InvalidImage]:
        """The images of `ids`; one that cannot be an image is invalid."""
        return to_images(self.outputs(ids), self._spec.output)

    def outputs(self, ids: NDArray[np.int64]) -> Float32:
        """What the network gives for `ids`, N first, in its own range and layout."""
        if self._single is not None:
            return self._single.run(self._inputs.latents(ids))[self._form.output]
        return self._many.run(self._form.feeds(self._inputs, ids))[self._form.output]
