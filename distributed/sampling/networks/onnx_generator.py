"""A generator in an ONNX file: what it is, without loading it."""

from __future__ import annotations

from pathlib import Path

import onnx

from distributed.runtime.digests import digest_model
from distributed.sampling.generator import ImageSource, Loading
from distributed.sampling.networks.network import network_fields
from distributed.sampling.networks.onnx_form import image_output
from schemas.spec.generators.onnx import OnnxGenerator, OnnxOutput


def open_source(spec: OnnxGenerator, seed: int, loading: Loading) -> ImageSource:
    # A finished audit reads this file and needs no onnxruntime.
    from distributed.sampling.networks.onnx_network import OnnxImageGenerator

    return OnnxImageGenerator(spec, seed, device=loading.device, threads=loading.threads)


def fingerprint_fields(spec: OnnxGenerator) -> dict[str, str]:
    fields = {"sha256": digest_model(Path(spec.path))} | network_fields(spec)
    return fields | _output_field(Path(spec.path), spec.output)


def _output_field(path: Path, output: OnnxOutput) -> dict[str, str]:
    """The image's name, where it is not the first output."""
    model = onnx.load(str(path), load_external_data=False)
    place = image_output(path, model, output)
    return {"output.name": model.graph.output[place].name} if place else {}
