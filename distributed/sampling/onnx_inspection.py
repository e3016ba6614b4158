"""What an ONNX file is, and the block of a spec that reads it, by its graph alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any

import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto

from distributed.runtime.onnx_graph import graph_inputs, shape_of
from distributed.runtime.onnx_surgery import FLOATS, element_type, is_empty
from distributed.runtime.onnx_weights import leads_out, weights_names
from distributed.sampling.inspected import ONNX, Inspection, of_file, shape_text
from schemas.errors import ModelError

STANDARD_DOMAINS = {"", "ai.onnx", "ai.onnx.ml", "com.microsoft"}
LABELS = {"c", "class", "class_label", "class_labels", "classes", "label", "labels", "onehot", "one_hot", "y"}
"""What float inputs of shape (N, classes) are called that take a class, not a latent."""

Values = Mapping[str, onnx.ValueInfoProto]


def inspect_onnx(path: Path) -> Inspection:
    """Raises ModelError for a file that is no ONNX."""
    try:
        model = onnx.load(str(path), load_external_data=False)
    except DecodeError:
        model = onnx.ModelProto()
    if not model.graph.node:
        raise ModelError(f"{path} is of no kind that idleak knows: give ONNX, torch, safetensors or images")
    values = {value.name: value for value in graph_inputs(model.graph)}
    facts, risks = _facts(model, values), _risks(model)
    latent = _latent_name({name: value for name, value in values.items() if not is_empty(value)})
    if latent is None:
        facts.append(
            ("latent", "none of its inputs takes one: floating-point numbers, a row for each sample")
        )
        return Inspection(ONNX, False, of_file(path), facts, risks)
    block = _block(path, values, latent, model.graph.output)
    return Inspection(ONNX, False, of_file(path), facts, risks, *block)


def _facts(model: onnx.ModelProto, values: Values) -> list[tuple[str, str]]:
    opsets = {entry.domain or "ai.onnx": entry.version for entry in model.opset_import}
    return [
        ("made for", ", ".join([f"IR {model.ir_version}", *(f"{k} {v}" for k, v in opsets.items())])),
        *((f"input {name}", _value(value)) for name, value in values.items()),
        *((f"output {value.name}", _value(value)) for value in model.graph.output),
        *(("weights in", place) for place in weights_names(model)),
    ]


def _value(value: onnx.ValueInfoProto) -> str:
    name = TensorProto.DataType.Name(element_type(value)).lower()
    shape, text = shape_of(value), f"{name} "
    if is_empty(value):
        return f"{text}{shape_text([shape[0], 0])}, which holds nothing: it is fed as it is"
    text += shape_text(shape)
    batch = shape[0] if shape else None
    return text if batch in (None, 1) else f"{text}, {batch} samples at once"


def _risks(model: onnx.ModelProto) -> list[str]:
    own = sorted({node.domain for node in model.graph.node} - STANDARD_DOMAINS)
    risks = [f"weights outside its folder: {place}" for place in weights_names(model) if leads_out(place)]
    if own:
        risks.insert(0, f"custom operators of {', '.join(own)}: onnxruntime has none, and idleak loads none")
    return risks


def _block(
    path: Path, values: Values, latent: str, outputs: Sequence[onnx.ValueInfoProto]
) -> tuple[dict[str, Any], list[str]]:
    """latent: the input that takes it; the rest are inputs of their own."""
    full = {name: value for name, value in values.items() if not is_empty(value)}
    dim = _length(full[latent])
    block: dict[str, Any] = {
        "kind": "onnx",
        "path": str(path),
        "latent": {"dim": dim or 512, "distribution": "normal"},
    }
    decide = ["latent.distribution"] if dim else ["latent.dim", "latent.distribution"]
    others = {name: _input(name, value) for name, value in full.items() if name != latent}
    if others:
        block["inputs"] = others
        decide += [f"inputs.{name}" for name in others]
    output, unknown = _output(outputs)
    return block | {"output": output}, [*decide, *unknown]


def _latent_name(values: Values) -> str | None:
    """The first floating-point input that is no label."""
    wide = [
        name
        for name, value in values.items()
        if len(shape_of(value)) >= 2 and element_type(value) in FLOATS and _length(value) != 1
    ]
    return next((name for name in wide if not _is_label(name)), next(iter(wide), None))


def _is_label(name: str) -> bool:
    return name.lower() in LABELS


def _length(value: onnx.ValueInfoProto) -> int | None:
    """How many numbers it has for each sample, None if that is not stated."""
    sizes = [size for size in shape_of(value)[1:] if size is not None]
    return prod(sizes) if sizes and len(sizes) == len(shape_of(value)) - 1 else None


def _input(name: str, value: onnx.ValueInfoProto) -> dict[str, Any]:
    shape, length = shape_of(value), _length(value)
    is_float = element_type(value) in FLOATS
    if len(shape) >= 2 and (not is_float or _is_label(name)) and length != 1:
        return {"kind": "class", "classes": length or 10, "encoding": "one_hot"}
    if not is_float:
        return {"kind": "class", "classes": 10}
    if len(shape) >= 2 and length != 1:
        return {"kind": "latent", "dim": length or 512}
    return {"kind": "number", "value": 1.0}


def _output(outputs: Sequence[onnx.ValueInfoProto]) -> tuple[dict[str, Any], list[str]]:
    """The output that is the image, how it is to be read, and what of that is to be decided."""
    images = [(value, form) for value in outputs if (form := _image_form(shape_of(value))) is not None]
    if not images:
        return {"layout": "nchw", "range": [-1, 1]}, ["output.layout", "output.range"]
    value, form = images[0]
    name = {"name": value.name} if len(outputs) > 1 else {}
    unknown = ["output.name"] if len(images) > 1 else []
    if element_type(value) == TensorProto.UINT8:
        return name | form | {"range": [0, 255]}, unknown
    return name | form | {"range": [-1, 1]}, [*unknown, "output.range"]


def _image_form(shape: tuple[int | None, ...]) -> dict[str, Any] | None:
    """Layout and, where it is grey, channels; None for what is no image for certain."""
    for layout, axis in (("nchw", 1), ("nhwc", 3)):
        if len(shape) == 4 and shape[axis] in (1, 3):
            return {"layout": layout} | ({"channels": "grey"} if shape[axis] == 1 else {})
    return None
