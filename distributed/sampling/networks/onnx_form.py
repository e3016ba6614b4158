"""What the inputs and outputs of a generator's ONNX file are for, read off its graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto

from distributed.runtime.onnx_graph import graph_inputs, shape_of
from distributed.runtime.onnx_surgery import give_constant, give_nothing, give_plain, is_empty
from distributed.sampling.networks.network import NetworkInputs
from schemas.errors import ModelError
from schemas.spec.generators.network import ClassInput, LatentInput, NetworkInput, NumberInput
from schemas.spec.generators.onnx import OnnxGenerator, OnnxOutput

Shape = tuple[int | None, ...]


@dataclass(frozen=True)
class OnnxForm:
    """The graph with plain inputs: `latent` and `others` are their names now, `others` by their old names.

    output: number of the output that is the image. batch: the number of samples that the file fixes.
    """

    latent: str
    others: Mapping[str, str]
    output: int
    batch: int | None

    def feeds(self, inputs: NetworkInputs, ids: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
        """What the graph takes for `ids`, by its own names."""
        others = inputs.others(ids)
        named = {given: others[name] for name, given in self.others.items()}
        return {self.latent: inputs.latents(ids)} | named


def make_plain(path: Path, model: onnx.ModelProto, spec: OnnxGenerator) -> OnnxForm:
    """Change `model` in place: latents are float32 (N, dim), numbers float32 (N,), classes int64 (N,) or
    float32 (N, classes); what holds no value is fed by the graph itself.

    Raises ModelError if the file's inputs and outputs are not as the spec says.
    """
    values = {value.name: value for value in graph_inputs(model.graph)}
    empty = [name for name, value in values.items() if is_empty(value) and name not in spec.inputs]
    latent = _latent(path, {name: value for name, value in values.items() if name not in empty}, spec)
    output, batch = image_output(path, model, spec.output), _batch(values[latent])
    others = {name: _other(path, model, values[name], spec, batch) for name in spec.inputs}
    plain = _plain(path, model, values[latent], "generator.latent.dim", spec.latent.dim)
    for name in empty:
        give_nothing(model, name, plain)
    named = {name: given for name, given in others.items() if given is not None}
    return OnnxForm(plain, named, output, batch)


def image_output(path: Path, model: onnx.ModelProto, output: OnnxOutput) -> int:
    """The number of the output that is the image. Raises ModelError unless that is clear."""
    names = [value.name for value in model.graph.output]
    if output.name is not None:
        if output.name not in names:
            raise ModelError(
                f"{path} has no output {output.name!r}, it has {names}: correct generator.output.name"
            )
        return names.index(output.name)
    if len(names) == 1:
        return 0
    images = [i for i, value in enumerate(model.graph.output) if _may_be_image(shape_of(value), output)]
    if len(images) != 1:
        shapes = {value.name: shape_of(value) for value in model.graph.output}
        raise ModelError(
            f"{path} has the outputs {shapes}, and {len(images)} of them could be the image by "
            f"generator.output.layout and channels: set generator.output.name"
        )
    return images[0]


def _may_be_image(shape: Shape, output: OnnxOutput) -> bool:
    wanted = (None, 1 if output.channels == "grey" else 3)
    return not shape or (len(shape) == 4 and shape[1 if output.layout == "nchw" else 3] in wanted)


def _latent(path: Path, values: Mapping[str, onnx.ValueInfoProto], spec: OnnxGenerator) -> str:
    """The name of the input that takes the latent."""
    if unknown := spec.inputs.keys() - values.keys():
        raise ModelError(
            f"{path} has no input {min(unknown)!r}, it has {list(values)}: correct generator.inputs"
        )
    rest = [name for name in values if name not in spec.inputs]
    if len(rest) != 1:
        raise ModelError(
            f"{path} must have one input of shape (batch, {spec.latent.dim}) beside those in"
            f" generator.inputs, it has {rest}: give the others in generator.inputs"
        )
    return rest[0]


def _batch(value: onnx.ValueInfoProto) -> int | None:
    return next(iter(shape_of(value)), None)


def _other(
    path: Path, model: onnx.ModelProto, value: onnx.ValueInfoProto, spec: OnnxGenerator, batch: int | None
) -> str | None:
    """The name of a further input once it is plain, None if it has become a constant."""
    given: NetworkInput = spec.inputs[value.name]
    if isinstance(given, LatentInput):
        return _plain(path, model, value, f"generator.inputs.{value.name}.dim", given.dim)
    if isinstance(given, ClassInput) and given.encoding == "one_hot":
        key = f"generator.inputs.{value.name}.classes"
        return _plain(path, model, value, key, given.classes)
    shape = shape_of(value)
    if isinstance(given, NumberInput) and _is_shared(shape, batch):
        if value.name not in spec.factors:
            give_constant(model, value.name, given.value)
            return None
        if batch not in (None, 1):
            raise ModelError(
                f"{path} takes one {value.name} for {batch} samples at once: take it out of generator.factors"
            )
    if any(size not in (None, 1) for size in shape[1:]):
        raise ModelError(
            f"{path} takes {value.name!r} of shape {shape}: set generator.inputs.{value.name} to a class with"
            f" encoding one_hot and classes {shape[-1]}, or to a latent"
        )
    elem_type = TensorProto.FLOAT if isinstance(given, NumberInput) else TensorProto.INT64
    target = None if len(shape) == 1 else [-1] + [1] * (len(shape) - 1) if shape else []
    return give_plain(model, value.name, elem_type=elem_type, shape=[_batch(value)], target=target)


def _is_shared(shape: Shape, batch: int | None) -> bool:
    """Whether there is one number for all samples at once. One of shape [1] is fed where that will do."""
    return not shape or (shape == (1,) and batch not in (None, 1))


def _plain(path: Path, model: onnx.ModelProto, value: onnx.ValueInfoProto, key: str, length: int) -> str:
    """An input of so many numbers for each sample, whatever shape they are in."""
    shape = shape_of(value)
    if len(shape) < 2 or shape[1:].count(None) > 1:
        raise ModelError(
            f"{path} must have one input of shape (batch, {length}), {value.name} is of shape {shape}"
        )
    _require_length(path, value.name, shape, key, length)
    target = None if len(shape) == 2 else [0, *(size or -1 for size in shape[1:])]
    return give_plain(model, value.name, elem_type=TensorProto.FLOAT, shape=[shape[0], length], target=target)


def _require_length(path: Path, name: str, shape: Sequence[int | None], key: str, length: int) -> None:
    known = prod(size for size in shape[1:] if size is not None)
    if None in shape[1:] and length % known == 0:
        return
    if None in shape[1:] or known != length:
        kind = "latents of length" if key.endswith("dim") else "classes:"
        raise ModelError(
            f"{path} takes {kind} {known}: set {key} to it, not {length} ({name} is {tuple(shape)})"
        )
