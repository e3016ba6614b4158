"""Inputs and outputs of an ONNX graph, changed to plain ones by nodes before and after what is there."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from distributed.runtime.onnx_graph import graph_inputs, shape_of

FLOATS = frozenset({TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.BFLOAT16})


def element_type(value: onnx.ValueInfoProto) -> int:
    """One of onnx.TensorProto's data types."""
    return value.type.tensor_type.elem_type


def is_empty(value: onnx.ValueInfoProto) -> bool:
    """Whether it is N × 0, as the label of a network without classes is exported."""
    dims = value.type.tensor_type.shape.dim
    return len(dims) == 2 and dims[1].HasField("dim_value") and dims[1].dim_value == 0


def give_plain(
    model: onnx.ModelProto,
    name: str,
    *,
    elem_type: int,
    shape: Sequence[int | None],
    target: Sequence[int] | None,
) -> str:
    """Change, in place, the input `name` to one of another type and shape, from which the old one is made.

    target: what the old one's shape is in terms of a Reshape (0: as before, -1: what is left), None for the
    same. Gives the name of the new input: the old one, if nothing had to be changed.
    """
    value = next(value for value in model.graph.input if value.name == name)
    old_type, old_shape = element_type(value), shape_of(value)
    if old_type == elem_type and target is None:
        return name
    plain = _own(name, "plain")
    nodes, source = [], plain
    if target is not None:
        result = _own(name, "reshaped") if old_type != elem_type else name
        _add_constant(model.graph, _own(name, "target"), np.array(target, np.int64))
        nodes.append(helper.make_node("Reshape", [source, _own(name, "target")], [result]))
        source = result
    if old_type != elem_type:
        nodes.append(helper.make_node("Cast", [source], [name], to=old_type))
    dims = [size if size is not None else _own(plain, str(axis)) for axis, size in enumerate(shape)]
    if old_shape and old_shape[0] is None:
        dims[0] = value.type.tensor_type.shape.dim[0].dim_param or dims[0]
    value.CopyFrom(helper.make_tensor_value_info(plain, elem_type, dims))
    _put_first(model.graph, nodes)
    return plain


def give_constant(model: onnx.ModelProto, name: str, number: float) -> None:
    """Take, in place, the input `name` away and let it be `number` for ever, in its type and stated shape."""
    value = _take_away(model.graph, name)
    dtype = helper.tensor_dtype_to_np_dtype(element_type(value))
    shape = tuple(size or 1 for size in shape_of(value))
    _add_constant(model.graph, name, np.full(shape, number).astype(dtype))


def give_nothing(model: onnx.ModelProto, name: str, like: str) -> None:
    """Take, in place, the N × 0 input `name` away; `like`, an input with the batch first, says what N is."""
    value = _take_away(model.graph, name)
    flat, part = _own(name, "flat"), _own(name, "part")
    nodes = [helper.make_node("Flatten", [like], [flat], axis=1), _first_columns(model, flat, part)]
    nodes.append(helper.make_node("Cast", [part], [name], to=element_type(value)))
    _put_first(model.graph, nodes)


def give_float32(model: onnx.ModelProto) -> None:
    """Cast, in place, every output of another floating-point type to float32."""
    for output in model.graph.output:
        if element_type(output) in FLOATS - {TensorProto.FLOAT}:
            name = _own(output.name, "float32")
            model.graph.node.append(helper.make_node("Cast", [output.name], [name], to=TensorProto.FLOAT))
            output.name = name
            output.type.tensor_type.elem_type = TensorProto.FLOAT


def make_float32(model: onnx.ModelProto) -> None:
    """In place: the first input, if of another floating-point type, is cast from, such outputs are cast to,
    float32."""
    value = graph_inputs(model.graph)[0]
    if element_type(value) in FLOATS:
        give_plain(model, value.name, elem_type=TensorProto.FLOAT, shape=shape_of(value), target=None)
    give_float32(model)


def _first_columns(model: onnx.ModelProto, source: str, result: str) -> onnx.NodeProto:
    """None of the columns of N × any."""
    opset = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 1)
    if opset < 10:
        return helper.make_node("Slice", [source], [result], starts=[0], ends=[0], axes=[1])
    zero, axis = _own(result, "zero"), _own(result, "axis")
    _add_constant(model.graph, zero, np.array([0], np.int64))
    _add_constant(model.graph, axis, np.array([1], np.int64))
    return helper.make_node("Slice", [source, zero, zero, axis], [result])


def _own(name: str, part: str) -> str:
    """A name that no exporter gives."""
    return f"idleak/{name}/{part}"


def _take_away(graph: onnx.GraphProto, name: str) -> onnx.ValueInfoProto:
    place = next(i for i, value in enumerate(graph.input) if value.name == name)
    value = onnx.ValueInfoProto()
    value.CopyFrom(graph.input[place])
    del graph.input[place]
    return value


def _add_constant(graph: onnx.GraphProto, name: str, value: NDArray[np.generic]) -> None:
    graph.initializer.append(numpy_helper.from_array(value, name))


def _put_first(graph: onnx.GraphProto, nodes: Sequence[onnx.NodeProto]) -> None:
    later = list(graph.node)
    del graph.node[:]
    graph.node.extend([*nodes, *later])
