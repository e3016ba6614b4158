"""A generator in a TorchScript file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from distributed.runtime.digests import digest_file, torch_version
from distributed.sampling.generator import ImageSource, Loading
from distributed.sampling.networks.network import network_fields
from schemas.spec.generators.torch import TorchscriptGenerator


def open_source(spec: TorchscriptGenerator, seed: int, loading: Loading) -> ImageSource:
    """Runs the file's code: only where that may be."""
    import torch

    from distributed.sampling.networks.torch_loading import load_trusted
    from distributed.sampling.networks.torch_network import TorchImageGenerator

    load: Any = torch.jit.load
    module = load_trusted(
        spec.path,
        spec.trust,
        loading.device,
        lambda file: load(file, map_location=loading.device).eval(),
        "a TorchScript file",
    )
    return TorchImageGenerator(
        module, spec, seed, name=spec.path, device=loading.device, threads=loading.threads
    )


def fingerprint_fields(spec: TorchscriptGenerator) -> dict[str, str]:
    return {"sha256": digest_file(Path(spec.path))} | network_fields(spec) | torch_version()
