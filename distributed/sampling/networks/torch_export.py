"""A generator in a `.pt2` file, an exported program."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from distributed.runtime.digests import digest_file, torch_version
from distributed.sampling.generator import ImageSource, Loading
from distributed.sampling.networks.network import network_fields
from schemas.spec.generators.torch import TorchExportGenerator


def open_source(spec: TorchExportGenerator, seed: int, loading: Loading) -> ImageSource:
    """Runs what the file wants: only where that may be."""
    import torch

    from distributed.sampling.networks.torch_loading import load_trusted
    from distributed.sampling.networks.torch_network import TorchImageGenerator

    module = load_trusted(
        spec.path,
        spec.trust,
        loading.device,
        lambda file: on_device(torch.export.load(file), loading.device).module(),
        "an exported program",
    )
    return TorchImageGenerator(
        module, spec, seed, name=spec.path, device=loading.device, threads=loading.threads
    )


def on_device(program: Any, device: str) -> Any:
    """The exported program on a device, with its constants, which `Module.to` leaves where they are."""
    from torch.export.passes import move_to_device_pass

    return program if device == "cpu" else move_to_device_pass(program, device)


def fingerprint_fields(spec: TorchExportGenerator) -> dict[str, str]:
    return {"sha256": digest_file(Path(spec.path))} | network_fields(spec) | torch_version()
