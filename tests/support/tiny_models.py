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


def bright_square_detector() -> onnx.ModelProto:
    """A detector of the form of SCRFD with landmarks, that takes bright squares for faces.

    At strides of 8, 16 and 32 pixels its score is the mean of a cell, from -1 to 1; a face is two cells wide.
    So a square of less than 8 pixels is only seen if the image is enlarged.
    """
    nodes: list[onnx.NodeProto] = []
    outputs: dict[str, Shape] = {}
    constants: dict[str, ArrayLike] = {}
    for stride in (8, 16, 32):
        cell, place = [stride] * 2, f"mean{stride}"
        nodes.append(helper.make_node("AveragePool", ["x"], [place], kernel_shape=cell, strides=cell))
        for kind, values in FACE_OF_CELL.items():
            name, width = f"{kind}{stride}", len(values)
            weights = np.full((2 * width, 3, 1, 1), 1 / 3 if width == 1 else 0.0)
            constants |= {f"{name}_w": weights, f"{name}_b": 2 * values, f"{name}_to": [0, -1, width]}
            outputs[name] = ("n", "rows", width)
            nodes += [
                helper.make_node("Conv", [place, f"{name}_w", f"{name}_b"], [f"{name}_map"]),
                helper.make_node("Transpose", [f"{name}_map"], [f"{name}_last"], perm=[0, 2, 3, 1]),
                helper.make_node("Reshape", [f"{name}_last", f"{name}_to"], [name]),
            ]
    return make_model(nodes, shape=("n", 3, "h", "w"), outputs=outputs, constants=constants)


FACE_OF_CELL = {
    "score": [0.0],
    "box": [0.0, 0.0, 2.0, 2.0],
    "landmarks": [0.5, 0.5, 1.5, 0.5, 1.0, 1.0, 0.6, 1.5, 1.4, 1.5],
}
"""In strides, from the cell's corner."""
