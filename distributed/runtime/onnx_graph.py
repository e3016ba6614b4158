"""ONNX graphs: read, and rewritten so that they take batches and run fast, without changing what they say."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from distributed.runtime.onnx_weights import load_weights, weights_names
from distributed.runtime.pointers import stand_in_problem
from distributed.runtime.versions import package_version
from schemas.errors import ModelError

# An anchor head exported for one image: N×C×H×W is turned to H×W×N×C before it is flattened to rows.
IMAGE_THIRD, IMAGE_FIRST = [2, 3, 0, 1], [0, 2, 3, 1]
ANCHOR_WIDTHS = (1, 2, 4, 10)
# These give images if their first input is one.
KEEP_IMAGES = frozenset({"Add", "BatchNormalization", "Mul", "PRelu", "Relu", "Sub"})


Float32 = NDArray[np.float32]


def require_file(path: Path) -> None:
    """Raises ModelError if there is no such file, or a pointer to it."""
    if not path.is_file():
        raise ModelError(f"there is no model file {path}: correct the path or fetch the file")
    if problem := stand_in_problem(path):
        raise ModelError(problem)


def unreadable(path: Path, reason: Exception) -> ModelError:
    """The error for a file that is no ONNX, or cannot be run."""
    if needs := _too_new(str(reason)):
        return ModelError(
            f"{path} {needs}: export it for an older one, or install an onnxruntime that reads it"
        )
    if missing := re.search(r"Could not find an implementation for (\w+)\(\d+\)", str(reason)):
        return ModelError(
            f"{path} has a {missing[1]} of a type that onnxruntime {package_version('onnxruntime')} cannot "
            "run: export the model in float32"
        )
    return ModelError(
        f"{path} is not a readable ONNX file (truncated download?): fetch it again and compare its sha256"
        f" ({reason})"
    )


def _too_new(reason: str) -> str | None:
    """Which version a file needs and which is here, if that is onnxruntime's reason."""
    runtime = f"onnxruntime {package_version('onnxruntime')} here reads up to"
    if ir := re.search(r"Unsupported model IR version: (\d+), max supported IR version: (\d+)", reason):
        return f"needs ONNX IR version {ir[1]}, and {runtime} {ir[2]}"
    if opset := re.search(
        r"Opset (\d+) is under development.*domain (\S+) is till opset (\d+)", reason, re.S
    ):
        return f"needs opset {opset[1]} of {opset[2]}, and {runtime} {opset[3]}"
    return None


def read_model(path: Path) -> onnx.ModelProto:
    """The file's graph, with the weights that lie beside it.

    Raises ModelError if it is missing, truncated, or no ONNX model, or names weights outside its folder.
    """
    require_file(path)
    try:
        model = onnx.load(str(path), load_external_data=False)
        load_weights(path, model)
    except (OSError, ValueError, DecodeError, onnx.checker.ValidationError) as error:
        raise unreadable(path, error) from error
    if left := weights_names(model):
        raise ModelError(f"{path} has values in {left[0]!r} that onnx does not read: save them in the model")
    if not model.graph.node:
        raise unreadable(path, ValueError("it holds no graph"))
    return model


def input_shape(model: onnx.ModelProto) -> tuple[int | None, ...] | None:
    """The shape of the only input, None for a symbolic axis; None if there is not exactly one input."""
    inputs = graph_inputs(model.graph)
    return shape_of(inputs[0]) if len(inputs) == 1 else None


def shape_of(value: onnx.ValueInfoProto) -> tuple[int | None, ...]:
    """The stated shape, None for a symbolic axis."""
    return tuple(dim.dim_value or None for dim in value.type.tensor_type.shape.dim)


def graph_inputs(graph: onnx.GraphProto) -> list[onnx.ValueInfoProto]:
    """What the graph must be given: its inputs without weights."""
    # Before ONNX IR 4 every weight was listed as an input, too.
    weights = {tensor.name for tensor in graph.initializer}
    return [value for value in graph.input if value.name not in weights]


def forget_shapes(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy without the stated shapes of outputs and inner values, which hold for one input size only."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    del copy.graph.value_info[:]
    for output in copy.graph.output:
        output.type.tensor_type.ClearField("shape")
    return copy


def make_batch_dynamic(model: onnx.ModelProto, *, free: Sequence[int] = (0,)) -> onnx.ModelProto | None:
    """A copy whose only input is symbolic along the axes `free`, axis 0 being the batch.

    Reshapes of activations that hold a batch of one, and anchor heads flattened without a batch axis, are
    rewritten to keep the batch first. That is a guess about the graph, to be proved with `batches_agree`.
    None if the model has not exactly one input or its batch is fixed at another number than 1.
    """
    shape = input_shape(model)
    if not shape or shape[0] not in (None, 1):
        return None
    copy = forget_shapes(model)
    dims = graph_inputs(copy.graph)[0].type.tensor_type.shape.dim
    for axis in free:
        if dims[axis].dim_value:
            dims[axis].dim_param = f"free_{axis}"
    nodes = list(_with_batch_first(copy.graph, fixed=shape[0] == 1))
    del copy.graph.node[:]
    copy.graph.node.extend(nodes)
    return copy


def _with_batch_first(graph: onnx.GraphProto, *, fixed: bool) -> Iterable[onnx.NodeProto]:
    constants = _constants(graph)
    makers = {name: node for node in graph.node for name in node.output}
    active = {value.name for value in graph_inputs(graph)}
    for node in graph.node:
        # A parameter may be reshaped to a leading 1 with every right: only activations carry the batch.
        is_active = not active.isdisjoint(node.input)
        active.update(node.output if is_active and node.op_type != "Shape" else ())
        if fixed and is_active and node.op_type == "Reshape" and node.input[1] in constants:
            target = _batched_target(constants[node.input[1]], makers.get(node.input[0]))
            if target is not None:
                yield _point_at(node, target)
        yield node


def _constants(graph: onnx.GraphProto) -> dict[str, list[int]]:
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            tensors[node.output[0]] = node.attribute[0].t
    return {
        name: [int(value) for value in numpy_helper.to_array(tensor)]
        for name, tensor in tensors.items()
        if tensor.data_type == onnx.TensorProto.INT64 and len(tensor.dims) == 1
    }


def _batched_target(target: list[int], maker: onnx.NodeProto | None) -> list[int] | None:
    """The Reshape target that keeps the batch first, or None to leave it. May turn the Transpose `maker`."""
    if target[:1] == [1]:
        if len(target) == 3 and target[2] in ANCHOR_WIDTHS:
            # The rows are as many as the image's size gives.
            return [0, -1, target[2]]
        return [0, *target[1:]] if -1 in target else [-1, *target[1:]]
    if len(target) == 2 and target[0] == -1 and maker is not None and maker.op_type == "Transpose":
        order = maker.attribute[0].ints if maker.attribute else []
        if list(order) in (IMAGE_THIRD, IMAGE_FIRST) and target[1] in ANCHOR_WIDTHS:
            maker.attribute[0].ints[:] = IMAGE_FIRST
            return [0, -1, target[1]]
    return None


def _point_at(reshape: onnx.NodeProto, target: list[int]) -> onnx.NodeProto:
    """A Constant node holding `target`, which becomes the shape input of `reshape`."""
    name = f"{reshape.output[0]}_batched_target"
    reshape.input[1] = name
    return helper.make_node("Constant", [], [name], value=numpy_helper.from_array(np.array(target, np.int64)))


def split_prelu(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy whose channel-wise PRelu of images is Relu(x) - slope × Relu(-x): the same to the last bit.

    onnxruntime's CPU kernel of PRelu leaves its blocked layout and is slow: a MobileFaceNet with 33 of them
    takes 2.2 times as long. The products are depthwise 1×1 convolutions, which keep that layout. One of the
    two terms is always zero, so that no rounding is added.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    weights = {tensor.name: tensor for tensor in copy.graph.initializer}
    makers = {name: node for node in copy.graph.node for name in node.output}
    nodes: list[onnx.NodeProto] = []
    for node in copy.graph.node:
        slope = _channel_slope(node, weights) if _is_image(node.input[:1], makers, weights) else None
        nodes += [node] if slope is None else _split(node, slope, copy.graph)
    del copy.graph.node[:]
    copy.graph.node.extend(nodes)
    return copy


def _channel_slope(node: onnx.NodeProto, weights: Mapping[str, onnx.TensorProto]) -> Float32 | None:
    """The slopes (channels,) of a PRelu with one for each channel of an image, None for any other node."""
    if node.op_type != "PRelu" or node.input[1] not in weights:
        return None
    slope = numpy_helper.to_array(weights[node.input[1]])
    if slope.dtype != np.float32 or slope.ndim not in (3, 4) or slope.shape[-2:] != (1, 1):
        return None
    return slope.reshape(-1) if slope.size == slope.shape[-3] > 1 else None


def _is_image(
    names: Sequence[str], makers: Mapping[str, onnx.NodeProto], weights: Mapping[str, onnx.TensorProto]
) -> bool:
    """Whether the first of these values is N×C×H×W for certain: a two-dimensional convolution made it."""
    while names and (maker := makers.get(names[0])) is not None:
        if maker.op_type == "Conv":
            return maker.input[1] in weights and len(weights[maker.input[1]].dims) == 4
        if maker.op_type not in KEEP_IMAGES:
            return False
        names = maker.input[:1]
    return False


def _split(node: onnx.NodeProto, slope: Float32, graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    x, y = node.input[0], node.output[0]
    for name, factor in (("minus", -np.ones_like(slope)), ("slope", -slope)):
        graph.initializer.append(numpy_helper.from_array(factor.reshape(-1, 1, 1, 1), f"{y}_{name}"))
    yield helper.make_node("Relu", [x], [f"{y}_above"])
    yield helper.make_node("Conv", [x, f"{y}_minus"], [f"{y}_negated"], group=len(slope), kernel_shape=[1, 1])
    yield helper.make_node("Relu", [f"{y}_negated"], [f"{y}_below"])
    yield helper.make_node(
        "Conv", [f"{y}_below", f"{y}_slope"], [f"{y}_scaled"], group=len(slope), kernel_shape=[1, 1]
    )
    yield helper.make_node("Add", [f"{y}_scaled", f"{y}_above"], [y])
