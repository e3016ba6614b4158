"""An ONNX graph as torch calls on one device: no copy to the host, no wait, so that CUDA can record it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import numpy_helper
from torch import Tensor

from distributed.runtime.onnx_graph import forget_shapes, graph_inputs
from distributed.runtime.torch_ops import HOST_INPUTS, OPERATORS, Operator, UnsupportedGraphError


@dataclass(frozen=True)
class _Step:
    """One node. inputs: names of values, or constants; last_use: names that nothing needs afterwards."""

    operator: Operator
    inputs: tuple[Any, ...]
    attributes: dict[str, Any]
    outputs: tuple[str, ...]
    last_use: tuple[str, ...]


@dataclass(frozen=True)
class _Value:
    """A tensor that is computed, by its name."""

    name: str


class TorchGraph:
    """Runs an ONNX graph of one input whose shape is known, in one floating-point type."""

    def __init__(
        self, model: onnx.ModelProto, shape: Sequence[int], *, device: str, dtype: torch.dtype
    ) -> None:
        """shape: of the input, the batch first. Raises UnsupportedGraphError."""
        static = static_graph(model, shape)
        graph = static.graph
        self._input = graph_inputs(graph)[0].name
        self._outputs = [output.name for output in graph.output]
        self._dtype, self._device = dtype, device
        constants = _constants(graph)
        self._tensors: dict[str, Tensor] = {}
        needed = _last_uses(graph, self._outputs)
        self._steps = [
            self._step(node, constants, needed[place])
            for place, node in enumerate(graph.node)
            if node.op_type != "Constant"
        ]
        self._constant_outputs = {
            name: self._tensor(name, constants[name]) for name in self._outputs if name in constants
        }

    def __call__(self, batch: Tensor) -> list[Tensor]:
        """All outputs for the batch, which has the shape and device that the graph was made for."""
        # cuDNN's kernels of half precision are made for channels that come last.
        last = torch.channels_last if batch.ndim == 4 and batch.shape[1] <= batch.shape[-1] else None
        batch = batch.to(self._dtype)
        values = {self._input: batch if last is None else batch.contiguous(memory_format=last)}
        values |= self._constant_outputs
        for step in self._steps:
            arguments = [values[given.name] if isinstance(given, _Value) else given for given in step.inputs]
            result = step.operator(arguments, step.attributes)
            results = result if isinstance(result, tuple) else (result,)
            values |= zip(step.outputs, results, strict=False)
            for name in step.last_use:
                values.pop(name, None)
        return [values[name] for name in self._outputs]

    def _step(self, node: onnx.NodeProto, constants: dict[str, Any], last_use: tuple[str, ...]) -> _Step:
        if node.op_type not in OPERATORS or node.domain not in ("", "ai.onnx"):
            raise UnsupportedGraphError(f"the operator {node.domain or 'ONNX'} {node.op_type}")
        on_host = HOST_INPUTS.get(node.op_type, ())
        inputs = tuple(
            self._input_of(name, constants, host=place in on_host) for place, name in enumerate(node.input)
        )
        attributes = {
            attribute.name: _plain(onnx.helper.get_attribute_value(attribute)) for attribute in node.attribute
        }
        return _Step(OPERATORS[node.op_type], inputs, attributes, tuple(node.output), last_use)

    def _input_of(self, name: str, constants: dict[str, Any], *, host: bool) -> Any:
        if not name:
            return None
        if name not in constants:
            if host:
                raise UnsupportedGraphError(f"{name}, a shape that follows from the input's values")
            return _Value(name)
        return constants[name] if host else self._tensor(name, constants[name])

    def _tensor(self, name: str, value: Any) -> Tensor:
        if name not in self._tensors:
            tensor = torch.from_numpy(np.array(value))
            if not tensor.is_floating_point():
                raise UnsupportedGraphError(f"{name}, whole numbers among the weights")
            tensor = tensor.to(self._device, self._dtype)
            last = torch.channels_last if tensor.ndim == 4 else torch.preserve_format
            self._tensors[name] = tensor.contiguous(memory_format=last) if tensor.ndim == 4 else tensor
        return self._tensors[name]


def static_graph(model: onnx.ModelProto, shape: Sequence[int]) -> onnx.ModelProto:
    """The graph for inputs of exactly `shape`: all that follows from it is worked out, by onnxruntime.

    Raises UnsupportedGraphError if onnxruntime cannot.
    """
    fixed = forget_shapes(model)
    dimensions = graph_inputs(fixed.graph)[0].type.tensor_type.shape
    del dimensions.dim[:]
    for size in shape:
        dimensions.dim.add().dim_value = size
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.log_severity_level = 4
    with TemporaryDirectory(prefix="graph-") as folder:
        options.optimized_model_filepath = str(Path(folder, "static.onnx"))
        try:
            onnxruntime.InferenceSession(
                fixed.SerializeToString(), options, providers=["CPUExecutionProvider"], enable_fallback=0
            )
        except Exception as error:
            # onnxruntime's exceptions have no base class of their own.
            raise UnsupportedGraphError(f"a batch of {shape[0]} ({error})") from error
        return onnx.load(options.optimized_model_filepath)


def _constants(graph: onnx.GraphProto) -> dict[str, Any]:
    constants = {weight.name: numpy_helper.to_array(weight) for weight in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant":
            for attribute in node.attribute:
                value = onnx.helper.get_attribute_value(attribute)
                is_tensor = isinstance(value, onnx.TensorProto)
                constants[node.output[0]] = numpy_helper.to_array(value) if is_tensor else np.asarray(value)
    return constants


def _last_uses(graph: onnx.GraphProto, kept: Sequence[str]) -> list[tuple[str, ...]]:
    """For each node, the values that are used there for the last time."""
    last = {name: place for place, node in enumerate(graph.node) for name in node.input}
    return [
        tuple(name for name in dict.fromkeys(node.input) if last[name] == place and name not in kept)
        for place, node in enumerate(graph.node)
    ]


def _plain(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value
