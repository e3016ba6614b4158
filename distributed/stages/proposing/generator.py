"""The block of a generator, with the range of its values from a few samples of it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from distributed.sampling.adapters import image_count
from distributed.sampling.inspection import inspect
from distributed.sampling.networks.onnx_network import OnnxImageGenerator
from schemas.errors import ModelError
from schemas.spec.generators import GeneratorSpec
from schemas.spec.generators.onnx import OnnxGenerator, OnnxOutput

SAMPLES = 20_000
PROBED = 8
THREADS = os.cpu_count() or 1
SLACK = 0.5
"""Values beyond a range by less are of networks without a last tanh."""
SPAN = (0.01, 0.99)
DARK = 0.25
LAYOUTS = ("nchw", "nhwc")
RANGES = ((-1.0, 1.0), (0.0, 1.0), (0.0, 255.0))


@dataclass(frozen=True)
class ProposedGenerator:
    """inferred: sentences. undecided: keys of the block that the file does not tell."""

    block: dict[str, Any]
    samples: int
    inferred: list[str]
    undecided: list[str]


def propose_generator(path: Path) -> ProposedGenerator:
    """Raises ModelError or SpecError for a file or folder that no kind of generator reads."""
    inspection = inspect(path)
    if inspection.block is None:
        raise ModelError(f"{path} is {inspection.what}, and no kind of generator reads it")
    block, undecided = dict(inspection.block), list(inspection.decide)
    inferred = [f"generator: {inspection.what}, kind {block['kind']}"]
    spec: GeneratorSpec = TypeAdapter(GeneratorSpec).validate_python(block)
    if isinstance(spec, OnnxGenerator):
        block["output"], line = _output(spec, block["output"])
        inferred.append(line)
        undecided = [key for key in undecided if key not in ("output.range", "output.layout")]
    count = None if spec.is_code else image_count(spec)
    if count is not None:
        inferred.append(f"generator: it has {count:,} images")
    return ProposedGenerator(block, SAMPLES if count is None else min(SAMPLES, count), inferred, undecided)


def _output(spec: OnnxGenerator, known: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """How the image is to be read, by a run. Raises ModelError if no form of images fits."""
    layouts = [known, *({**known, "layout": layout} for layout in LAYOUTS if layout != known["layout"])]
    problems = []
    for form in [*layouts, *({**form, "channels": "grey"} for form in layouts)]:
        try:
            return _read_as(spec, form)
        except ModelError as error:
            problems.append(error)
    raise problems[0]


def _read_as(spec: OnnxGenerator, form: dict[str, Any]) -> tuple[dict[str, Any], str]:
    changed = spec.model_copy(update={"output": OnnxOutput.model_validate(form)})
    values = OnnxImageGenerator(changed, 0, device="cpu", threads=THREADS).outputs(np.arange(PROBED))
    low, high = (float(value) for value in np.quantile(values, SPAN))
    chosen = list(likely_range(low, high))
    shape = "×".join(map(str, values.shape[1:]))
    line = f"generator.output: {shape}, {form['layout']}, range {chosen}, as 98 % of the values of {PROBED}"
    return form | {"range": chosen}, f"{line} samples lie in {low:.3g} to {high:.3g}"


def likely_range(low: float, high: float) -> tuple[float, float]:
    """The usual one that values between these have, nearly all of a few samples."""
    return next((ends for ends in RANGES if _fits(low, high, *ends)), RANGES[0])


def _fits(low: float, high: float, first: float, last: float) -> bool:
    margin = SLACK * (last - first) / 2
    # Black is a little below zero where a network has no last activation; of -1 to 1 it is far below.
    is_signed = low < -DARK * high
    return is_signed == (first < 0) and low >= first - margin and high <= last + margin
