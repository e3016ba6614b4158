"""A generator in an ONNX file: what it is, without loading it."""

from __future__ import annotations

from pathlib import Path

from distributed.digests import digest_model
from distributed.sampling.generator import ImageSource
from distributed.sampling.network import network_fields
from schemas.generators.onnx import OnnxGenerator


def open_source(spec: OnnxGenerator, seed: int, *, device: str, threads: int) -> ImageSource:
    # A finished audit reads this file and needs no onnxruntime.
    from distributed.sampling.onnx_network import OnnxImageGenerator

    return OnnxImageGenerator(spec, seed, device=device, threads=threads)


def fingerprint_fields(spec: OnnxGenerator) -> dict[str, str]:
    return {"sha256": digest_model(Path(spec.path))} | network_fields(spec)


def count(spec: OnnxGenerator) -> None:
    """There is no end to latents."""
