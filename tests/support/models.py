"""Tiny ONNX models with fixed random weights, for tests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 17


def tiny_generator(path: Path, *, dim: int = 8, size: int = 32, seed: int = 0) -> Path:
    """Latents N × dim to images N × 3 × size × size in [-1, 1]."""
    weights = np.random.default_rng(seed).standard_normal((dim, 3 * size * size)).astype(np.float32)
    nodes = [
        helper.make_node("MatMul", ["z", "w"], ["flat"]),
        helper.make_node("Tanh", ["flat"], ["bounded"]),
        helper.make_node("Reshape", ["bounded", "shape"], ["image"]),
    ]
    constants: dict[str, np.ndarray] = {"w": weights, "shape": np.array([-1, 3, size, size], np.int64)}
    return _save(path, nodes, constants, ("z", ["n", dim]), ("image", ["n", 3, size, size]))


def tiny_labelled_generator(
    path: Path, *, dim: int = 8, size: int = 32, seed: int = 0, batch: str | int = "n"
) -> Path:
    """Latents N × dim, int64 classes N of two, and numbers N to images.

    With class 0 and number 1 it is tiny_generator. The number scales the image; class 1 replaces what the
    latent says by something else.
    """
    weights = np.random.default_rng(seed).standard_normal((dim, 3 * size * size)).astype(np.float32)
    other = np.random.default_rng(seed + 1).standard_normal((dim, 3 * size * size)).astype(np.float32)
    nodes = [
        helper.make_node("Cast", ["label"], ["is_other"], to=TensorProto.BOOL),
        helper.make_node("Unsqueeze", ["is_other", "one"], ["column"]),
        helper.make_node("MatMul", ["z", "w"], ["plain"]),
        helper.make_node("MatMul", ["z", "v"], ["other"]),
        helper.make_node("Where", ["column", "other", "plain"], ["flat"]),
        helper.make_node("Tanh", ["flat"], ["bounded"]),
        helper.make_node("Unsqueeze", ["psi", "one"], ["scale"]),
        helper.make_node("Mul", ["bounded", "scale"], ["scaled"]),
        helper.make_node("Reshape", ["scaled", "shape"], ["image"]),
    ]
    shape, axis = np.array([-1, 3, size, size], np.int64), np.array([1], np.int64)
    constants: dict[str, np.ndarray] = {"w": weights, "v": other, "shape": shape, "one": axis}
    inputs = [("label", TensorProto.INT64, [batch]), ("psi", TensorProto.FLOAT, [batch])]
    return _save(path, nodes, constants, ("z", [batch, dim]), ("image", [batch, 3, size, size]), inputs)


def tiny_recognizer(path: Path, *, size: int = 112, dim: int = 16, seed: int = 0, grey: float = 0.0) -> Path:
    """Images N × 3 × size × size to templates N × dim.

    grey: the value that it takes for mid-grey. With 127.5 it is made for pixels as they are, 0 to 255:
    under a preprocessing that makes them small, all its templates are alike.
    """
    nodes = [helper.make_node("Sub", ["pooled", "grey"], ["seen"])]
    return _recognizer(path, nodes, {"grey": np.array(grey, np.float32)}, size, dim, seed)


def periodic_recognizer(path: Path, *, size: int = 112, dim: int = 16, seed: int = 0) -> Path:
    """As tiny_recognizer, but by the sine of its input: made for -1 to 1. Where the input goes to 255, two
    photos of one person differ by whole periods, so that they match no better than two people's."""
    return _recognizer(path, [helper.make_node("Sin", ["pooled"], ["seen"])], {}, size, dim, seed)


def _recognizer(
    path: Path, nodes: list[onnx.NodeProto], constants: dict[str, np.ndarray], size: int, dim: int, seed: int
) -> Path:
    """nodes: from means of 16 × 16 pixels, `pooled`, to what templates are random projections of, `seen`."""
    cells = 3 * (size // 16) ** 2
    weights = np.random.default_rng(seed).standard_normal((cells, dim)).astype(np.float32)
    nodes = [
        helper.make_node("AveragePool", ["x"], ["pooled"], kernel_shape=[16, 16], strides=[16, 16]),
        *nodes,
        helper.make_node("Flatten", ["seen"], ["flat"]),
        helper.make_node("MatMul", ["flat", "w"], ["template"]),
    ]
    made = {"w": weights, **constants}
    return _save(path, nodes, made, ("x", ["n", 3, size, size]), ("template", ["n", dim]))


def _save(
    path: Path,
    nodes: list[onnx.NodeProto],
    constants: dict[str, np.ndarray],
    given: tuple[str, list[str | int]],
    made: tuple[str, list[str | int]],
    others: Sequence[tuple[str, int, list[str | int]]] = (),
) -> Path:
    graph = helper.make_graph(
        nodes,
        "tiny",
        [
            helper.make_tensor_value_info(given[0], TensorProto.FLOAT, given[1]),
            *(helper.make_tensor_value_info(*other) for other in others),
        ],
        [helper.make_tensor_value_info(made[0], TensorProto.FLOAT, made[1])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9)
    onnx.save(model, str(path))
    return path
