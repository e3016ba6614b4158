"""A generator that is code, turned once into one that is data, or into code whose weights are."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast
from uuid import uuid4

import numpy as np
import onnx
from google.protobuf.message import DecodeError

from distributed.runtime.digests import digest_file
from distributed.runtime.onnx_graph import graph_inputs, shape_of
from distributed.sampling.adapters import CheckedSource, open_generator
from distributed.sampling.generator import Image, ImageSource, InvalidImage
from distributed.sampling.sandbox.parent import GeneratorCrashedError, SandboxedSource
from distributed.sampling.sandbox.trust import ALGORITHM, require_trust
from schemas.errors import ModelError, SpecError
from schemas.spec.generators import GeneratorSpec
from schemas.spec.generators.base import Generator, Sweep
from schemas.spec.generators.network import NetworkGenerator
from schemas.spec.generators.onnx import OnnxGenerator
from schemas.spec.generators.stylegan import StyleganGenerator
from schemas.spec.generators.torch import ModuleGenerator
from schemas.spec.locations import with_locations

Format = Literal["onnx", "safetensors"]
SEED = 0
LEAST_SAMPLES, MOST_SAMPLES = 16, 256
TOLERANCE = 1
"""Levels of 255 that rounding may move a pixel by."""


@dataclass(frozen=True)
class Conversion:
    """What was written: its `sha256:…`, the generator that reads it, and how it was checked.

    difference: the greatest between an image of the original and one of the new, in levels of 255.
    one_by_one: the file takes a batch of one only.
    """

    digest: str
    generator: Generator
    samples: int
    difference: int
    one_by_one: bool


def convert(spec: GeneratorSpec, to: Format, path: Path) -> Conversion:
    """Write the generator to `path`, if it gives the original's images; else nothing.

    Runs the generator's code, in a process of its own. Raises TrustError; SpecError for a path that is taken;
    ModelError for what cannot be converted, or gives other images.
    """
    _require_convertible(spec, to)
    require_trust(spec)
    if path.exists() or not path.parent.is_dir():
        raise SpecError(f"{path} is there already, or its folder is not: give the name of a new file")
    partial = path.with_name(f".{path.name}.{uuid4().hex}.partial")
    try:
        return _convert(spec, to, path, partial)
    except GeneratorCrashedError as error:
        raise ModelError(f"{error}; nothing is written") from error
    except OSError as error:
        raise SpecError(f"cannot write {path}: {error.strerror}") from error
    finally:
        partial.unlink(missing_ok=True)


def _convert(spec: GeneratorSpec, to: Format, path: Path, partial: Path) -> Conversion:
    threads = os.cpu_count() or 1
    original = SandboxedSource(spec, SEED, device="cpu", threads=threads)
    try:
        content, facts = original.convert(to)
        _write(partial, content)
        generator = _converted(spec, facts, to, partial)
        other = open_generator(cast(GeneratorSpec, generator), SEED, device="cpu", threads=threads)
        samples = min(max(LEAST_SAMPLES, 2 * len(Sweep(spec.sweep).settings)), MOST_SAMPLES)
        difference = _greatest_difference(CheckedSource(original), other, samples, to)
    finally:
        original.close()
    one_by_one = to == "onnx" and not _has_free_batch(partial)
    digest = ALGORITHM + digest_file(partial)
    os.replace(partial, path)
    placed = with_locations(generator, lambda name: str(path) if name == str(partial) else name)
    return Conversion(digest, placed, samples, difference, one_by_one)


def _require_convertible(spec: GeneratorSpec, to: Format) -> None:
    if not spec.is_code:
        raise SpecError(f"generator.kind {spec.kind} is data: there is no code to be rid of")
    if to == "safetensors" and not isinstance(spec, ModuleGenerator):
        raise SpecError(f"safetensors hold the weights of `module` only, not of {spec.kind}: use --to onnx")
    if isinstance(spec, StyleganGenerator) and spec.seeds == "nvlabs":
        raise SpecError("an ONNX file is not drawn from by NVlabs' seeds: set generator.seeds to idleak")
    if isinstance(spec, StyleganGenerator) and "truncation" in spec.factors:
        raise SpecError(
            "an ONNX file has one truncation: take it out of generator.factors, convert once each"
        )


def _write(path: Path, content: memoryview) -> None:
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _converted(spec: GeneratorSpec, facts: Mapping[str, Any], to: Format, path: Path) -> Generator:
    """The generator that reads `path`."""
    if isinstance(spec, ModuleGenerator) and to == "safetensors":
        return spec.model_copy(update={"weights": str(path), "weights_key": None})
    fields = facts["network"] if isinstance(spec, StyleganGenerator) else _network_fields(spec)
    return OnnxGenerator.model_validate({"kind": "onnx", "path": str(path)} | fields)


def _network_fields(spec: Any) -> dict[str, Any]:
    return cast(dict[str, Any], spec.model_dump(include=set(NetworkGenerator.model_fields) - {"kind"}))


def _has_free_batch(path: Path) -> bool:
    """Raises ModelError for what is no ONNX."""
    try:
        model = onnx.load(str(path), load_external_data=False)
    except DecodeError as error:
        raise ModelError("the generator's process sent what is no ONNX; nothing is written") from error
    return not any(shape_of(graph_input)[:1] != (None,) for graph_input in graph_inputs(model.graph))


def _greatest_difference(original: ImageSource, other: ImageSource, samples: int, to: Format) -> int:
    """In levels, over samples made one by one and together. Raises ModelError if it passes TOLERANCE."""
    ids = np.arange(samples, dtype=np.int64)
    # A single sample, then all of them: a batch of one is where exporters go wrong.
    pairs = [
        pair
        for part in (ids[:1], ids)
        for pair in zip(original.sample(part), other.sample(part), strict=True)
    ]
    compared = [np.abs(_levels(a) - _levels(b)).max() for a, b in pairs if _both_images(a, b)]
    if not compared:
        raise ModelError(
            f"none of {samples} samples is an image: correct the spec, `generator.output` most likely"
        )
    difference = int(max(compared))
    if difference > TOLERANCE:
        raise ModelError(
            f"the {to} file gives other images than the original: they differ by up to {difference} of 255 "
            f"levels in {samples} samples; nothing is written. Does it draw noise of its own?"
        )
    return difference


def _both_images(a: Image | InvalidImage, b: Image | InvalidImage) -> bool:
    """False if neither is one, for the same reason. Raises ModelError if they are not alike."""
    if isinstance(a, InvalidImage) and isinstance(b, InvalidImage) and a.outcome == b.outcome:
        return False
    if isinstance(a, InvalidImage) or isinstance(b, InvalidImage) or a.shape != b.shape:
        raise ModelError(
            f"the new file gives {_image_text(b)} where the original gives {_image_text(a)}; nothing is "
            "written"
        )
    return True


def _image_text(image: Image | InvalidImage) -> str:
    return image.reason if isinstance(image, InvalidImage) else f"an image of shape {image.shape}"


def _levels(image: Image | InvalidImage) -> Any:
    return np.asarray(image, np.int16)
