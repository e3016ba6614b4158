"""ONNX operators in torch, for inference with shapes that are known beforehand.

Semantics: the ONNX operator schemas (onnx.ai/onnx/operators), by which the tests compare each with
onnxruntime. What is not here, or has an attribute that is not, is run by onnxruntime itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

Attributes = Mapping[str, Any]
Operator = Callable[[Sequence[Any], Attributes], Any]


class UnsupportedGraphError(Exception):
    """A graph that is not of the operators here; says which."""


def _conv(x: Sequence[Any], a: Attributes) -> Any:
    image, weight, bias = x[0], x[1], x[2] if len(x) > 2 else None
    image, padding = _padded(image, a)
    return F.conv2d(
        image, weight, bias, a.get("strides", 1), padding, a.get("dilations", 1), a.get("group", 1)
    )


def _conv_transpose(x: Sequence[Any], a: Attributes) -> Any:
    pads = a.get("pads", [0, 0, 0, 0])
    if pads[:2] != pads[2:] or "output_shape" in a or a.get("auto_pad", "NOTSET") != "NOTSET":
        raise UnsupportedGraphError("a ConvTranspose with padding that differs from side to side")
    bias = x[2] if len(x) > 2 else None
    return F.conv_transpose2d(
        x[0],
        x[1],
        bias,
        a.get("strides", 1),
        pads[:2],
        a.get("output_padding", 0),
        a.get("group", 1),
        a.get("dilations", 1),
    )


def _padded(image: Tensor, a: Attributes, value: float = 0.0) -> tuple[Tensor, Any]:
    """The image, and the padding that the operator still has to do."""
    if image.ndim != 4 or a.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        raise UnsupportedGraphError(f"padding {a.get('auto_pad')} of {image.ndim} dimensions")
    top, left, bottom, right = a.get("pads", [0, 0, 0, 0])
    if (top, left) == (bottom, right):
        return image, (top, left)
    return F.pad(image, (left, right, top, bottom), value=value), 0


def _batch_norm(x: Sequence[Any], a: Attributes) -> Any:
    return F.batch_norm(x[0], x[3], x[4], x[1], x[2], False, 0.0, a.get("epsilon", 1e-5))


def _instance_norm(x: Sequence[Any], a: Attributes) -> Any:
    return F.instance_norm(x[0], weight=x[1], bias=x[2], eps=a.get("epsilon", 1e-5))


def _layer_norm(x: Sequence[Any], a: Attributes) -> Any:
    axis = a.get("axis", -1) % x[0].ndim
    return F.layer_norm(x[0], x[0].shape[axis:], x[1], x[2] if len(x) > 2 else None, a.get("epsilon", 1e-5))


def _gemm(x: Sequence[Any], a: Attributes) -> Any:
    left = x[0].mT if a.get("transA") else x[0]
    right = x[1].mT if a.get("transB") else x[1]
    product = a.get("alpha", 1.0) * (left @ right) if a.get("alpha", 1.0) != 1 else left @ right
    return product if len(x) < 3 or x[2] is None else product + a.get("beta", 1.0) * x[2]


def _prelu(x: Sequence[Any], a: Attributes) -> Any:
    slope = x[1].squeeze()
    by_channel = slope.ndim <= 1 and (slope.numel() == 1 or x[1].ndim == x[0].ndim - 1)
    if by_channel and slope.numel() in (1, x[0].shape[1]):
        return F.prelu(x[0], slope.reshape(-1))
    return torch.where(x[0] < 0, x[0] * x[1], x[0])


def _clip(x: Sequence[Any], a: Attributes) -> Any:
    low = _number(x[1]) if len(x) > 1 else a.get("min")
    high = _number(x[2]) if len(x) > 2 else a.get("max")
    return torch.clamp(x[0], low, high)


def _number(value: Any) -> float | None:
    return None if value is None else float(np.asarray(value).item())


def _softmax(x: Sequence[Any], a: Attributes) -> Any:
    # In float32: sums of float16 exponentials lose digits.
    return torch.softmax(x[0].float(), a.get("axis", -1)).to(x[0].dtype)


def _flatten(x: Sequence[Any], a: Attributes) -> Any:
    axis = a.get("axis", 1)
    return x[0].reshape(int(np.prod(x[0].shape[:axis])), -1)


def _reshape(x: Sequence[Any], a: Attributes) -> Any:
    target = [int(size) for size in x[1]]
    if not a.get("allowzero"):
        target = [x[0].shape[axis] if size == 0 else size for axis, size in enumerate(target)]
    return x[0].reshape(target)


def _transpose(x: Sequence[Any], a: Attributes) -> Any:
    return x[0].permute(a.get("perm", list(range(x[0].ndim))[::-1]))


def _slice(x: Sequence[Any], a: Attributes) -> Any:
    starts, ends = (_integers(x[1]), _integers(x[2])) if len(x) > 2 else (a["starts"], a["ends"])
    axes = _integers(x[3]) if len(x) > 3 and x[3] is not None else a.get("axes", range(len(starts)))
    steps = _integers(x[4]) if len(x) > 4 and x[4] is not None else [1] * len(starts)
    if any(step < 1 for step in steps):
        raise UnsupportedGraphError("a Slice that goes backwards")
    index = [slice(None)] * x[0].ndim
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        index[axis % x[0].ndim] = slice(start, end, step)
    return x[0][tuple(index)]


def _integers(value: Any) -> list[int]:
    return [int(number) for number in np.asarray(value).ravel()]


def _axes(x: Sequence[Any], a: Attributes) -> list[int]:
    return _integers(x[1]) if len(x) > 1 and x[1] is not None else list(a.get("axes", ()))


def _squeeze(x: Sequence[Any], a: Attributes) -> Any:
    axes = _axes(x, a)
    return x[0].squeeze(tuple(axes)) if axes else x[0].squeeze()


def _unsqueeze(x: Sequence[Any], a: Attributes) -> Any:
    shaped = x[0]
    for axis in sorted(axis % (x[0].ndim + len(_axes(x, a))) for axis in _axes(x, a)):
        shaped = shaped.unsqueeze(axis)
    return shaped


def _reduced(reduce: Callable[..., Tensor]) -> Operator:
    def run(x: Sequence[Any], a: Attributes) -> Tensor:
        axes = _axes(x, a) or list(range(x[0].ndim))
        # In float32: a sum over a feature map leaves float16's range.
        return reduce(x[0].float(), dim=axes, keepdim=bool(a.get("keepdims", 1))).to(x[0].dtype)

    return run


def _l2(values: Tensor, *, dim: list[int], keepdim: bool) -> Any:
    return torch.linalg.vector_norm(values, dim=dim, keepdim=keepdim)


def _max_pool(x: Sequence[Any], a: Attributes) -> Any:
    if a.get("storage_order"):
        raise UnsupportedGraphError("a MaxPool with a storage order")
    image, padding = _padded(x[0], a, -torch.inf)
    return F.max_pool2d(
        image,
        a["kernel_shape"],
        a.get("strides", 1),
        padding,
        a.get("dilations", 1),
        bool(a.get("ceil_mode", 0)),
    )


def _average_pool(x: Sequence[Any], a: Attributes) -> Any:
    image, padding = _padded(x[0], a)
    counted = bool(a.get("count_include_pad", 0))
    if (padding == 0 and not counted) or a.get("ceil_mode", 0):
        raise UnsupportedGraphError("an AveragePool with padding that differs from side to side")
    return F.avg_pool2d(image, a["kernel_shape"], a.get("strides", 1), padding, count_include_pad=counted)


def _resize(x: Sequence[Any], a: Attributes) -> Any:
    size = _resized(x)
    how, mode = a.get("coordinate_transformation_mode", "half_pixel"), a.get("mode", "nearest")
    if isinstance(mode, bytes):
        mode = mode.decode()
    whole = all(new % old == 0 for new, old in zip(size, x[0].shape[2:], strict=True))
    if mode == "nearest" and (whole or (how, a.get("nearest_mode")) == ("asymmetric", "floor")):
        return F.interpolate(x[0], size, mode="nearest")
    if mode == "linear" and how in ("half_pixel", "pytorch_half_pixel", "align_corners"):
        corners = how == "align_corners"
        return F.interpolate(x[0], size, mode="bilinear", align_corners=corners)
    raise UnsupportedGraphError(f"a Resize by {mode} with {how}")


def _resized(x: Sequence[Any]) -> list[int]:
    """Height and width after a Resize (input, roi, scales, sizes) or an Upsample (input, scales)."""
    if len(x) > 3 and x[3] is not None and len(x[3]):
        return _integers(x[3])[2:]
    scales = x[2] if len(x) > 2 else x[1]
    if x[0].ndim != 4 or [float(scale) for scale in scales[:2]] != [1.0, 1.0]:
        raise UnsupportedGraphError("a Resize of other axes than height and width")
    return [int(np.floor(side * float(s))) for side, s in zip(x[0].shape[2:], scales[2:], strict=True)]


def _depth_to_space(x: Sequence[Any], a: Attributes) -> Any:
    if a.get("mode", "DCR") == "CRD":
        return F.pixel_shuffle(x[0], a["blocksize"])
    n, c, h, w = x[0].shape
    b = a["blocksize"]
    blocks = x[0].reshape(n, b, b, c // b**2, h, w).permute(0, 3, 4, 1, 5, 2)
    return blocks.reshape(n, c // b**2, h * b, w * b)


def _pad(x: Sequence[Any], a: Attributes) -> Any:
    pads = _integers(x[1]) if len(x) > 1 else a["pads"]
    if a.get("mode", "constant") != "constant" or (len(x) > 3 and x[3] is not None):
        raise UnsupportedGraphError("a Pad that is not by a constant")
    value = _number(x[2]) if len(x) > 2 else a.get("value", 0.0)
    half = len(pads) // 2
    return F.pad(
        x[0],
        [side for axis in reversed(range(half)) for side in (pads[axis], pads[axis + half])],
        value=value or 0.0,
    )


def _split(x: Sequence[Any], a: Attributes) -> tuple[Tensor, ...]:
    axis = a.get("axis", 0)
    sizes = _integers(x[1]) if len(x) > 1 and x[1] is not None else a.get("split")
    if not sizes:
        raise UnsupportedGraphError("a Split whose sizes are not stated")
    return torch.split(x[0], list(sizes), axis)


def _cast(x: Sequence[Any], a: Attributes) -> Any:
    if a["to"] not in (1, 10, 11, 16):
        raise UnsupportedGraphError("a Cast to whole numbers")
    # Between floating-point types: all are the graph's.
    return x[0]


def _expand(x: Sequence[Any], a: Attributes) -> Any:
    return x[0].expand(np.broadcast_shapes(tuple(x[0].shape), tuple(_integers(x[1]))))


def _hard_sigmoid(x: Sequence[Any], a: Attributes) -> Any:
    return torch.clamp(a.get("alpha", 0.2) * x[0] + a.get("beta", 0.5), 0, 1)


def _unary(function: Callable[[Tensor], Tensor]) -> Operator:
    return lambda x, a: function(x[0])


def _binary(function: Callable[[Any, Any], Tensor]) -> Operator:
    return lambda x, a: function(x[0], x[1])


OPERATORS: Mapping[str, Operator] = {
    "Abs": _unary(torch.abs),
    "Add": _binary(torch.add),
    "AveragePool": _average_pool,
    "BatchNormalization": _batch_norm,
    "Cast": _cast,
    "Clip": _clip,
    "Concat": lambda x, a: torch.cat(list(x), a["axis"]),
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "DepthToSpace": _depth_to_space,
    "Div": _binary(torch.div),
    "Dropout": lambda x, a: x[0],
    "Elu": lambda x, a: F.elu(x[0], a.get("alpha", 1.0)),
    "Erf": _unary(torch.erf),
    "Exp": _unary(torch.exp),
    "Expand": _expand,
    "Flatten": _flatten,
    "Gelu": lambda x, a: F.gelu(x[0], approximate=a.get("approximate", "none")),
    "Gemm": _gemm,
    "GlobalAveragePool": lambda x, a: x[0].float().mean((2, 3), keepdim=True).to(x[0].dtype),
    "GlobalMaxPool": lambda x, a: x[0].amax((2, 3), keepdim=True),
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": _unary(F.hardswish),
    "Identity": lambda x, a: x[0],
    "InstanceNormalization": _instance_norm,
    "LayerNormalization": _layer_norm,
    "LeakyRelu": lambda x, a: F.leaky_relu(x[0], a.get("alpha", 0.01)),
    "MatMul": _binary(torch.matmul),
    "Max": _binary(torch.maximum),
    "MaxPool": _max_pool,
    "Min": _binary(torch.minimum),
    "Mul": _binary(torch.mul),
    "Neg": _unary(torch.neg),
    "PRelu": _prelu,
    "Pad": _pad,
    "Pow": _binary(torch.pow),
    "ReduceL2": _reduced(_l2),
    "ReduceMax": _reduced(torch.amax),
    "ReduceMean": _reduced(torch.mean),
    "ReduceSum": _reduced(torch.sum),
    "Relu": _unary(torch.relu),
    "Reshape": _reshape,
    "Resize": _resize,
    "Sigmoid": _unary(torch.sigmoid),
    "Slice": _slice,
    "Softmax": _softmax,
    "Softplus": _unary(F.softplus),
    "Split": _split,
    "Sqrt": _unary(torch.sqrt),
    "Squeeze": _squeeze,
    "Sub": _binary(torch.sub),
    "Tanh": _unary(torch.tanh),
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
    "Upsample": _resize,
}

HOST_INPUTS: Mapping[str, tuple[int, ...]] = {
    "Clip": (1, 2),
    "Expand": (1,),
    "Pad": (1, 2, 3),
    "ReduceL2": (1,),
    "ReduceMax": (1,),
    "ReduceMean": (1,),
    "ReduceSum": (1,),
    "Reshape": (1,),
    "Resize": (1, 2, 3),
    "Slice": (1, 2, 3, 4),
    "Split": (1,),
    "Squeeze": (1,),
    "Unsqueeze": (1,),
    "Upsample": (1,),
}
"""Inputs that are shapes or numbers: read on the host, so that no kernel waits for them."""
