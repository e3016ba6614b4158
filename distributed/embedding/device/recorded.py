"""A function of tensors, recorded once as a CUDA graph and replayed without Python."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

WARM_UP = 3
"""Calls before the recording, in which libraries choose their kernels and take their memory."""


def new_stream() -> Any:
    """A stream of the current CUDA device."""
    # torch has not annotated Stream, and strict mypy refuses calls of what is not annotated.
    return torch.cuda.Stream()  # type: ignore[no-untyped-call]


class Recorded:
    """Gives what the function gives. On CUDA the outputs are overwritten by the next call."""

    def __init__(self, function: Callable[[Tensor], Any], example: Tensor) -> None:
        """example: an input; all others have its shape, type and device."""
        self._function = function
        self._graph: torch.cuda.CUDAGraph | None = None
        if example.is_cuda:
            self._input = example.clone()
            self._record()

    def __call__(self, batch: Tensor) -> Any:
        if self._graph is None:
            with torch.inference_mode():
                return self._function(batch)
        self._input.copy_(batch, non_blocking=True)
        self._graph.replay()
        return self._output

    def _record(self) -> None:
        side = new_stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side), torch.inference_mode():
            for _ in range(WARM_UP):
                self._function(self._input)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.inference_mode(), torch.cuda.graph(graph):
            self._output = self._function(self._input)
        self._graph = graph
