"""A generator in the user's own Python, with its weights in a safetensors file."""

from __future__ import annotations

import sys
from functools import reduce
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from distributed.digests import digest_code, digest_file
from distributed.sampling.generator import ImageSource
from distributed.sampling.network import network_fields
from distributed.sampling.torch_network import TorchImageGenerator, require_device
from distributed.sampling.trust import require_trust
from schemas.errors import ModelError
from schemas.generators.torch import ModuleGenerator


def open_source(spec: ModuleGenerator, seed: int, *, device: str, threads: int) -> ImageSource:
    """Imports and calls the user's code: only where that may be."""
    require_device(device)
    require_trust(spec)
    module = _made(spec)
    if spec.weights is not None:
        _load_weights(module, Path(spec.weights))
    return TorchImageGenerator(
        module.eval().to(device), spec, seed, name=spec.factory, device=device, threads=threads
    )


def fingerprint_fields(spec: ModuleGenerator) -> dict[str, str]:
    fields = {
        "sha256": digest_code(Path(spec.code)),
        "factory": spec.factory,
        "arguments": repr(dict(spec.arguments)),
        "version.torch": str(torch.__version__),
    }
    if spec.weights is not None:
        fields["weights.sha256"] = digest_file(Path(spec.weights))
    return fields | network_fields(spec)


def count(spec: ModuleGenerator) -> None:
    """There is no end to latents."""


def _made(spec: ModuleGenerator) -> torch.nn.Module:
    """What the factory gives. Raises ModelError if it cannot be imported, fails, or gives no module."""
    name, _, path = spec.factory.partition(":")
    sys.path.insert(0, spec.code)
    try:
        factory: Any = reduce(getattr, path.split("."), import_module(name))
        made = factory(**spec.arguments)
    except Exception as error:
        raise ModelError(
            f"generator.factory {spec.factory} of {spec.code} fails ({type(error).__name__}: {error}): "
            "correct it, or generator.arguments"
        ) from error
    if not isinstance(made, torch.nn.Module):
        raise ModelError(
            f"generator.factory {spec.factory} gives a {type(made).__name__}, not a torch.nn.Module"
        )
    return made


def _load_weights(module: torch.nn.Module, path: Path) -> None:
    try:
        weights = load_file(path)
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{path} is not a readable safetensors file: {error}") from error
    try:
        module.load_state_dict(weights)
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise ModelError(f"{path} does not fit the module: {reason}") from error
