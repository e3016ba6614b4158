"""A model of images for a device: on a CPU by onnxruntime, on CUDA by torch in batches of one length."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from distributed.runtime.onnx_graph import make_batch_dynamic
from distributed.runtime.onnx_session import BatchedModel

LOG = logging.getLogger(__name__)
CUDA_BATCH = 32
CELLS = 12
"""Probes are smooth noise of so many cells a side: a network answers to it as to an image."""

Float32 = NDArray[np.float32]


class TorchBatches:
    """What a BatchedModel is, in torch. A graph for each shape of input is made when it is first needed.

    onnxruntime's convolutions on CUDA are planned anew whenever the shape of the input changes, which takes
    seconds; here the batch is always filled up to one length.
    """

    batched = True
    fixed = None

    def __init__(
        self,
        path: Path,
        model: onnx.ModelProto,
        reference: BatchedModel,
        *,
        probe: Sequence[int],
        value_range: tuple[float, float],
        device: str,
        batch: int = CUDA_BATCH,
    ) -> None:
        """reference: the same model on the CPU. probe: shape of an input. Raises UnsupportedGraphError."""
        self._path, self._graph, self._batch, self._device = path, model, batch, device
        self._range, self.reference = value_range, reference.run
        self._models: dict[tuple[int, ...], Any] = {}
        self._model(tuple(probe))

    def run(self, batch: Float32) -> list[Float32]:
        """Every output, float32, for `batch` N×…, always with N first."""
        import torch

        model, parts = self._model(batch.shape[1:]), []
        for start in range(0, max(1, len(batch)), self._batch):
            some = batch[start : start + self._batch]
            filled = torch.from_numpy(np.resize(some, (self._batch, *batch.shape[1:])))
            outputs = model(filled.to(self._device))
            parts.append([output[: len(some)].float().cpu().numpy() for output in outputs])
        return [np.concatenate(outputs) for outputs in zip(*parts, strict=True)]

    def _model(self, shape: tuple[int, ...]) -> Any:
        from distributed.runtime.torch_model import TorchModel

        if shape not in self._models:
            self._models[shape] = TorchModel(
                self._path,
                self._graph,
                (self._batch, *shape),
                device=self._device,
                reference=self.reference,
                probe=smooth_probe(shape, self._range),
            )
        return self._models[shape]


def open_images_model(
    path: Path,
    model: onnx.ModelProto,
    *,
    probe: Sequence[int],
    value_range: tuple[float, float],
    device: str,
    threads: int,
    free: Sequence[int] = (0,),
) -> BatchedModel | TorchBatches:
    """The model on the device; on CUDA by onnxruntime, with a word in the log, where torch cannot run it.

    Arguments and errors: of BatchedModel.
    """

    def by_onnxruntime(where: str) -> BatchedModel:
        return BatchedModel(
            path, model, probe=probe, value_range=value_range, device=where, threads=threads, free=free
        )

    if device == "cpu":
        return by_onnxruntime(device)
    # torch takes a second to load, and a process on the CPU needs none of it.
    from distributed.runtime.torch_ops import UnsupportedGraphError

    dynamic, reference = make_batch_dynamic(model, free=free) or model, by_onnxruntime("cpu")
    try:
        return TorchBatches(path, dynamic, reference, probe=probe, value_range=value_range, device=device)
    except UnsupportedGraphError as error:
        LOG.warning("%s runs in onnxruntime, which is slower on CUDA: torch has not %s", path, error)
        return by_onnxruntime(device)


def smooth_probe(shape: Sequence[int], value_range: tuple[float, float], count: int = 8) -> Float32:
    """`count` smooth inputs of `shape`, channels first or last, float32 within the range."""
    sides = [size for size in shape if size != 3] if len(shape) == 3 else list(shape)
    rng = np.random.default_rng(0)
    cells = rng.uniform(*value_range, (count, 3, CELLS, CELLS))
    rows, columns = (_weights(side) for side in (sides[0], sides[-1]))
    images = np.einsum("yi,ncij,xj->ncyx", rows, cells, columns).astype(np.float32)
    return images if shape[0] == 3 else np.ascontiguousarray(images.transpose(0, 2, 3, 1))


def _weights(side: int) -> NDArray[np.float64]:
    """(side, CELLS): linear interpolation from cells to pixels."""
    places = np.linspace(0, CELLS - 1, side)
    weights: NDArray[np.float64] = np.maximum(0, 1 - np.abs(places[:, None] - np.arange(CELLS)))
    return weights
