"""A model in torch on one device, in the fastest type in which it gives what onnxruntime gives in float32."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor

from distributed.runtime.torch_graph import TorchGraph
from distributed.runtime.torch_ops import UnsupportedGraphError

LOG = logging.getLogger(__name__)
LEAST_COSINE = 0.999
"""Of each output of each input with onnxruntime's in float32."""

Float32 = NDArray[np.float32]


@dataclass(frozen=True)
class Precision:
    """In which type a model runs, and whether its float32 products may round to TF32."""

    name: str
    dtype: torch.dtype
    tf32: bool


FLOAT16 = Precision("float16", torch.float16, False)
TF32 = Precision("tf32", torch.float32, True)
FLOAT32 = Precision("float32", torch.float32, False)
PRECISIONS = {"cuda": (FLOAT16, TF32, FLOAT32), "cpu": (FLOAT32,)}


class TorchModel:
    """A model for batches of one length; `precision` is what it runs in."""

    def __init__(
        self,
        path: Path,
        model: onnx.ModelProto,
        shape: Sequence[int],
        *,
        device: str,
        reference: Callable[[Float32], Sequence[Float32]],
        probe: Float32,
        output: int | None = None,
        precisions: Sequence[Precision] | None = None,
    ) -> None:
        """shape: of the input, the batch first. reference: the model's outputs in float32; probe: inputs that
        these are compared on, as many as a batch holds. output: the only one that is wanted.

        Raises UnsupportedGraphError for a graph of other operators, or one that gives something else.
        """
        self._output = output
        probe = probe[: shape[0]]
        expected = reference(probe)
        filled = torch.from_numpy(np.resize(probe, (shape[0], *probe.shape[1:])))
        worst = {}
        for precision in precisions or PRECISIONS[device]:
            self.precision = precision
            self._graph = TorchGraph(model, shape, device=device, dtype=precision.dtype)
            worst[precision.name] = _least_cosine(self(filled.to(device)), expected)
            if worst[precision.name] >= LEAST_COSINE:
                break
        else:
            raise UnsupportedGraphError(f"{path}, which gives something else in torch ({_described(worst)})")
        if len(worst) > 1:
            LOG.warning(
                "%s runs in %s, which is slower: the least cosine with its float32 outputs is %s",
                path,
                self.precision.name,
                _described(worst),
            )

    def __call__(self, batch: Tensor) -> list[Tensor]:
        """All outputs, of the precision's type, for a batch of the model's shape on its device."""
        with torch.inference_mode(), _products(tf32=self.precision.tf32):
            outputs = self._graph(batch)
            return outputs if self._output is None else [outputs[self._output]]


class _products:
    """In the block, products of float32 round to TF32 or they do not."""

    def __init__(self, *, tf32: bool) -> None:
        self._tf32 = tf32

    def __enter__(self) -> None:
        self._before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = self._tf32

    def __exit__(self, *_: object) -> None:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = self._before


def _least_cosine(outputs: Sequence[Tensor], expected: Sequence[Float32]) -> float:
    """Over all outputs and inputs; -1 where shapes differ or values are no numbers."""
    least = 1.0
    for output, wanted in zip(outputs, expected, strict=True):
        rows = output[: len(wanted)].double().cpu().numpy().reshape(len(wanted), -1)
        rows_wanted = wanted.astype(np.float64).reshape(len(wanted), -1)
        if rows.shape != rows_wanted.shape or not np.isfinite(rows).all():
            return -1.0
        norms = np.linalg.norm(rows, axis=1) * np.linalg.norm(rows_wanted, axis=1)
        cosines = (rows * rows_wanted).sum(axis=1) / np.maximum(norms, np.finfo(np.float64).tiny)
        least = min(least, float(np.where(norms > 0, cosines, 1.0).min()))
    return least


def _described(worst: dict[str, float]) -> str:
    return ", ".join(f"{cosine:.5f} in {name}" for name, cosine in worst.items())
