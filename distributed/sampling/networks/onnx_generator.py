"""A generator in an ONNX file: what it is, without loading it."""

from __future__ import annotations

from pathlib import Path

from distributed.runtime.digests import digest_model
from distributed.sampling.generator import ImageSource, Loading
from distributed.sampling.networks.network import network_fields
from schemas.spec.generators.onnx import OnnxGenerator


def open_source(spec: OnnxGenerator, seed: int, loading: Loading) -> ImageSource:
    # A finished audit reads this file and needs no onnxruntime.
    from distributed.sampling.networks.onnx_network import OnnxImageGenerator

    return OnnxImageGenerator(spec, seed, device=loading.device, threads=loading.threads)


def fingerprint_fields(spec: OnnxGenerator) -> dict[str, str]:
    return {"sha256": digest_model(Path(spec.path))} | network_fields(spec)


def prepare(spec: OnnxGenerator) -> None:
    """There is nothing to find out beforehand."""


def count(spec: OnnxGenerator) -> None:
    """There is no end to latents."""
