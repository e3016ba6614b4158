"""ONNX generators whose images stay on the device: onnxruntime writes them into torch's memory."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from distributed.runtime.onnx_graph import forget_shapes, make_batch_dynamic, read_model
from distributed.runtime.onnx_session import ORT_ERRORS, open_session
from distributed.sampling.device.ahead import Ahead
from distributed.sampling.device.batches import DeviceBatch
from distributed.sampling.device.quantised import quantised
from distributed.sampling.networks.network import NetworkInputs, output_problem
from distributed.sampling.networks.onnx_form import make_plain
from schemas.errors import ModelError
from schemas.spec.generators.onnx import OnnxGenerator

ELEMENT_TYPES = {torch.float32: np.float32, torch.int64: np.int64}


class OnnxImages:
    """Batches of one length of a generator that takes batches of any."""

    def __init__(self, spec: OnnxGenerator, seed: int, batch: int, *, device: str, threads: int) -> None:
        """On CUDA, in torch's current stream. Raises ModelError, DeviceError as `onnx_session` does."""
        self._path, self._spec, self._device = Path(spec.path), spec, device
        model = read_model(self._path)
        self._form, self._inputs = make_plain(self._path, model, spec), NetworkInputs(spec, seed)
        served = None if spec.inputs else make_batch_dynamic(model)
        content = (forget_shapes(model) if served is None else served).SerializeToString()
        stream = torch.cuda.current_stream().cuda_stream if device == "cuda" else None
        self._session = open_session(self._path, device=device, threads=threads, model=content, stream=stream)
        self._outputs = self._trial(batch)
        self._drawn = Ahead(self._host_feeds)
        height_axis = 2 if spec.output.layout == "nchw" else 1
        self.shape = (
            int(self._outputs[self._form.output].shape[height_axis]),
            int(self._outputs[self._form.output].shape[height_axis + 1]),
        )

    def expect(self, ids: NDArray[np.int64]) -> None:
        """See `batches.DeviceSource`: a thread draws the latents."""
        self._drawn.expect(ids)

    def sample(self, ids: NDArray[np.int64]) -> DeviceBatch:
        """See `batches.DeviceSource`. Raises ModelError, DeviceError."""
        feeds = {
            name: values.to(self._device, non_blocking=True) for name, values in self._drawn.take(ids).items()
        }
        self._run(feeds)
        return quantised(self._outputs[self._form.output], self._spec.output)

    def _host_feeds(self, ids: NDArray[np.int64]) -> Mapping[str, Tensor]:
        tensors = {
            name: torch.from_numpy(np.ascontiguousarray(values))
            for name, values in self._form.feeds(self._inputs, ids).items()
        }
        # From pageable memory the copy would wait for all that the device has still to do.
        return {
            name: tensor.pin_memory() if self._device == "cuda" else tensor
            for name, tensor in tensors.items()
        }

    def _trial(self, batch: int) -> list[Tensor]:
        """Room for the outputs of a batch, by the shapes of a first one."""
        try:
            made = self._session.run(None, self._form.feeds(self._inputs, np.zeros(batch, np.int64)))
        except ORT_ERRORS as error:
            raise ModelError(f"{self._path} cannot run on a batch of {batch}: {error}") from error
        image = made[self._form.output]
        if len(image) != batch:
            raise ModelError(f"{self._path} gives {len(image)} images for {batch} latents")
        if problem := output_problem(image[:1].shape, self._spec.output):
            raise ModelError(f"{self._path} {problem}")
        return [torch.from_numpy(np.ascontiguousarray(output)).to(self._device) for output in made]

    def _run(self, feeds: Mapping[str, Tensor]) -> None:
        binding = self._session.io_binding()
        for name, tensor in feeds.items():
            binding.bind_input(
                name, self._device, 0, ELEMENT_TYPES[tensor.dtype], tuple(tensor.shape), tensor.data_ptr()
            )
        for given, tensor in zip(self._session.get_outputs(), self._outputs, strict=True):
            binding.bind_output(
                given.name, self._device, 0, np.float32, tuple(tensor.shape), tensor.data_ptr()
            )
        try:
            self._session.run_with_iobinding(binding)
        except ORT_ERRORS as error:
            raise ModelError(f"{self._path} fails: {error}") from error
