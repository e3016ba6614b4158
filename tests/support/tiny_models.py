"""Tiny ONNX models, made where they are needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import ArrayLike
from onnx import TensorProto, helper, numpy_helper

Shape = Sequence[int | str]


def make_model(
    nodes: Sequence[onnx.NodeProto],
    *,
    shape: Shape,
    outputs: Mapping[str, Shape],
    constants: Mapping[str, ArrayLike] | None = None,
) -> onnx.ModelProto:
    """A checked model with the one input `x`; integer constants are int64, others float32."""
    tensors = []
    for name, value in (constants or {}).items():
        array = np.asarray(value)
        kind = np.int64 if np.issubdtype(array.dtype, np.integer) else np.float32
        tensors.append(numpy_helper.from_array(array.astype(kind), name))
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, dims) for name, dims in outputs.items()],
        tensors,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model


def flattener(shape: Shape = (1, 3, 16, 16), target: Sequence[int] = (1, -1)) -> onnx.ModelProto:
    """A recogniser: 4×4 means of each channel, flattened by a Reshape to `target`."""
    nodes = [
        helper.make_node("AveragePool", ["x"], ["mean"], kernel_shape=[4, 4], strides=[4, 4]),
        helper.make_node("Reshape", ["mean", "target"], ["template"]),
    ]
    return make_model(nodes, shape=shape, outputs={"template": ("n", 48)}, constants={"target": target})


def save(model: onnx.ModelProto, path: Path) -> Path:
    onnx.save(model, str(path))
    return path
