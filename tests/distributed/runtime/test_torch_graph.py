"""ONNX graphs in torch give what onnxruntime gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from distributed.runtime.onnx_graph import make_batch_dynamic, read_model
from distributed.runtime.torch_graph import TorchGraph
from distributed.runtime.torch_ops import UnsupportedGraphError
from tests.support.assets import MODELS, needs_assets

RNG = np.random.default_rng(0)
IMAGE, ROWS = (2, 4, 6, 6), (2, 12)


def weights(*shape: int) -> Any:
    return RNG.normal(0, 0.5, shape).astype(np.float32)


def ints(*values: int) -> Any:
    return np.array(values, np.int64)


def floats(*values: float) -> Any:
    return np.array(values, np.float32)


def graph_of(
    op: str, constants: list[Any], attributes: dict[str, Any], shape: tuple[int, ...], outputs: int = 1
) -> onnx.ModelProto:
    """A graph of one operator, with a batch that is not stated."""
    names = [f"c{place}" if constant is not None else "" for place, constant in enumerate(constants)]
    node = helper.make_node(op, ["x", *names], [f"y{i}" for i in range(outputs)], **attributes)
    kept = [
        numpy_helper.from_array(constant, name)
        for name, constant in zip(names, constants, strict=True)
        if constant is not None
    ]
    graph = helper.make_graph(
        [node],
        "one",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", *shape[1:]])],
        [helper.make_tensor_value_info(f"y{i}", TensorProto.FLOAT, None) for i in range(outputs)],
        kept,
    )
    opset = 9 if op == "Upsample" else 20
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


CASES: list[tuple[str, list[Any], dict[str, Any], tuple[int, ...]]] = [
    ("Abs", [], {}, IMAGE),
    ("Add", [weights(4, 1, 1)], {}, IMAGE),
    ("AveragePool", [], {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "strides": [2, 2]}, IMAGE),
    ("AveragePool", [], {"kernel_shape": [2, 3], "count_include_pad": 1, "pads": [1, 0, 0, 1]}, IMAGE),
    (
        "BatchNormalization",
        [weights(4), weights(4), weights(4), np.abs(weights(4))],
        {"epsilon": 0.01},
        IMAGE,
    ),
    ("Clip", [np.float32(-0.5), np.float32(0.25)], {}, IMAGE),
    ("Clip", [None, np.float32(0.25)], {}, IMAGE),
    ("Conv", [weights(8, 4, 3, 3), weights(8)], {"pads": [1, 1, 1, 1], "strides": [2, 2]}, IMAGE),
    ("Conv", [weights(8, 1, 3, 3)], {"group": 4, "pads": [0, 1, 2, 0], "dilations": [2, 1]}, IMAGE),
    ("ConvTranspose", [weights(4, 3, 4, 4), weights(3)], {"strides": [2, 2], "pads": [1, 1, 1, 1]}, IMAGE),
    (
        "ConvTranspose",
        [weights(4, 2, 3, 3)],
        {"strides": [2, 2], "output_padding": [1, 1], "group": 2},
        IMAGE,
    ),
    ("DepthToSpace", [], {"blocksize": 2}, IMAGE),
    ("DepthToSpace", [], {"blocksize": 2, "mode": "CRD"}, IMAGE),
    ("Div", [weights(12) + 3], {}, ROWS),
    ("Elu", [], {"alpha": 0.7}, IMAGE),
    ("Erf", [], {}, ROWS),
    ("Exp", [], {}, ROWS),
    ("Expand", [ints(3, 2, 12)], {}, ROWS),
    ("Flatten", [], {"axis": 2}, IMAGE),
    ("Gelu", [], {"approximate": "tanh"}, ROWS),
    ("Gemm", [weights(5, 12), weights(5)], {"transB": 1, "alpha": 0.5, "beta": 2.0}, ROWS),
    ("GlobalAveragePool", [], {}, IMAGE),
    ("GlobalMaxPool", [], {}, IMAGE),
    ("HardSigmoid", [], {"alpha": 0.3}, IMAGE),
    ("HardSwish", [], {}, IMAGE),
    ("InstanceNormalization", [weights(4), weights(4)], {}, IMAGE),
    ("LayerNormalization", [weights(12), weights(12)], {"epsilon": 0.01}, ROWS),
    ("LeakyRelu", [], {"alpha": 0.2}, IMAGE),
    ("MatMul", [weights(12, 3)], {}, ROWS),
    ("Max", [np.float32(0.1)], {}, ROWS),
    ("MaxPool", [], {"kernel_shape": [3, 3], "pads": [0, 0, 1, 1], "strides": [2, 2]}, IMAGE),
    ("MaxPool", [], {"kernel_shape": [2, 2], "strides": [2, 2], "pads": [1, 1, 1, 1]}, IMAGE),
    ("Min", [np.float32(0.1)], {}, ROWS),
    ("Mul", [weights(1, 4, 1, 1)], {}, IMAGE),
    ("Neg", [], {}, ROWS),
    ("PRelu", [weights(4, 1, 1)], {}, IMAGE),
    ("PRelu", [weights(1)], {}, IMAGE),
    ("PRelu", [weights(12)], {}, ROWS),
    ("PRelu", [weights(4, 6, 6)], {}, IMAGE),
    ("Pad", [ints(0, 0, 1, 2, 0, 0, 0, 3), np.float32(0.5)], {}, IMAGE),
    ("Pow", [np.float32(2)], {}, ROWS),
    ("ReduceL2", [ints(1)], {"keepdims": 1}, ROWS),
    ("ReduceMax", [ints(2, 3)], {"keepdims": 0}, IMAGE),
    ("ReduceMean", [ints(-1)], {}, IMAGE),
    ("ReduceSum", [ints(1)], {"keepdims": 0}, IMAGE),
    ("Relu", [], {}, IMAGE),
    ("Reshape", [ints(0, -1, 6)], {}, IMAGE),
    ("Resize", [None, floats(1, 1, 2, 2)], {"mode": "nearest"}, IMAGE),
    (
        "Resize",
        [None, None, ints(2, 4, 9, 15)],
        {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"},
        IMAGE,
    ),
    ("Resize", [None, None, ints(2, 4, 9, 15)], {"mode": "linear"}, IMAGE),
    (
        "Resize",
        [None, floats(1, 1, 2, 3)],
        {"mode": "linear", "coordinate_transformation_mode": "align_corners"},
        IMAGE,
    ),
    ("Sigmoid", [], {}, IMAGE),
    ("Slice", [ints(1, 0), ints(4, 100), ints(2, -1), ints(2, 1)], {}, IMAGE),
    ("Softmax", [], {"axis": 1}, IMAGE),
    ("Softplus", [], {}, ROWS),
    ("Split", [ints(1, 3)], {"axis": 1}, IMAGE),
    ("Squeeze", [ints(1)], {}, (2, 1, 3)),
    ("Sub", [weights(4, 1, 1)], {}, IMAGE),
    ("Tanh", [], {}, IMAGE),
    ("Transpose", [], {"perm": [0, 2, 3, 1]}, IMAGE),
    ("Unsqueeze", [ints(1, -1)], {}, ROWS),
    ("Upsample", [floats(1, 1, 2, 2)], {"mode": "nearest"}, IMAGE),
]


@pytest.mark.parametrize(
    ("op", "constants", "attributes", "shape"), CASES, ids=lambda v: v if isinstance(v, str) else ""
)
def test_every_operator_gives_what_onnxruntime_gives(
    op: str, constants: list[Any], attributes: dict[str, Any], shape: tuple[int, ...]
) -> None:
    model = graph_of(op, constants, attributes, shape, outputs=2 if op == "Split" else 1)
    batch = RNG.normal(0, 1, shape).astype(np.float32)
    expected = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": batch})

    outputs = TorchGraph(model, shape, device="cpu", dtype=torch.float32)(torch.from_numpy(batch))

    for output, wanted in zip(outputs, expected, strict=True):
        assert output.shape == wanted.shape
        np.testing.assert_allclose(output.numpy(), wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("op", "constants", "attributes"),
    [
        ("Celu", [], {}),
        ("Resize", [None, None, ints(2, 4, 9, 9)], {"mode": "cubic"}),
        ("MaxPool", [], {"kernel_shape": [3, 3], "auto_pad": "SAME_LOWER"}),
    ],
)
def test_what_is_not_known_is_named(op: str, constants: list[Any], attributes: dict[str, Any]) -> None:
    model = graph_of(op, constants, attributes, IMAGE)

    with pytest.raises(UnsupportedGraphError):
        TorchGraph(model, IMAGE, device="cpu", dtype=torch.float32)(torch.zeros(IMAGE))


def test_shapes_that_follow_from_the_input_are_worked_out() -> None:
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Gather", ["shape", "zero"], ["batch"]),
        helper.make_node("Concat", ["batch", "rest"], ["target"], axis=0),
        helper.make_node("Reshape", ["x", "target"], ["y"]),
    ]
    kept = [numpy_helper.from_array(ints(0), "zero"), numpy_helper.from_array(ints(-1, 6), "rest")]
    graph = helper.make_graph(
        nodes,
        "shapes",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4, 6, 6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        kept,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)

    (output,) = TorchGraph(model, IMAGE, device="cpu", dtype=torch.float32)(torch.ones(IMAGE))

    assert output.shape == (2, 24, 6)


@needs_assets
def test_real_models_in_float32_and_float16() -> None:
    for name in ("mobilefacenet_foamliu", "mobilefacenet_y1", "det_500m"):
        model = make_batch_dynamic(read_model(MODELS / f"{name}.onnx"), free=(0, 2, 3))
        assert model is not None
        shape = (2, 3, 128, 128) if name == "det_500m" else (2, 3, 112, 112)
        batch = torch.nn.functional.interpolate(torch.randn(2, 3, 12, 12), shape[2:], mode="bicubic").clamp(
            -1, 1
        )
        session = onnxruntime.InferenceSession(model.SerializeToString())
        expected = session.run(None, {session.get_inputs()[0].name: batch.numpy()})
        for dtype, least in ((torch.float32, 0.999999), (torch.float16, 0.999)):
            outputs = TorchGraph(model, shape, device="cpu", dtype=dtype)(batch)
            for output, wanted in zip(outputs, expected, strict=True):
                given, wanted = output.double().numpy().ravel(), wanted.astype(np.float64).ravel()
                assert given @ wanted / np.linalg.norm(given) / np.linalg.norm(wanted) >= least
