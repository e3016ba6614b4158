"""Code and weights of torch generators, from the user's files: only if trusted, and tensors as data."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from functools import reduce
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch.serialization import safe_globals

from distributed.sampling.inert import INERT, Inert
from distributed.sampling.sandbox.trust import trusted_bytes
from schemas.errors import DeviceError, ModelError, first_line
from schemas.spec.generators.torch import ModuleGenerator

PARALLEL = "module."


def require_device(device: str) -> None:
    """Raise DeviceError for CUDA where torch has none: never a silent fallback."""
    if device == "cuda" and not torch.cuda.is_available():
        raise DeviceError("device is cuda, but torch sees no CUDA device: run `idleak doctor`")


def load_trusted(
    path: str, trust: tuple[str, ...], device: str, load: Callable[[Any], Any], what: str
) -> Any:
    """What `load` makes of the file, whose bytes are those that the spec trusts.

    Raises TrustError, ModelError for a file that is not `what`, DeviceError.
    """
    require_device(device)
    file = trusted_bytes(Path(path), trust)
    try:
        return load(file)
    except Exception as error:
        raise ModelError(
            f"{path} is not {what} ({type(error).__name__}: {first_line(error)}): run `idleak inspect {path}`"
        ) from error


def made_by_factory(spec: ModuleGenerator) -> torch.nn.Module:
    """What the factory gives, with its weights.

    Raises ModelError if it cannot be imported, fails, or gives no module, or if the weights do not fit.
    """
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
    if spec.weights is not None:
        _load_weights(made, Path(spec.weights), spec.weights_key)
    return made


def _load_weights(module: torch.nn.Module, path: Path, key: str | None) -> None:
    weights = state_dict(path, key)
    names = module.state_dict().keys()
    if all(name.startswith(PARALLEL) for name in weights) and not any(
        name.startswith(PARALLEL) for name in names
    ):
        # DataParallel puts this before every name.
        weights = {name.removeprefix(PARALLEL): tensor for name, tensor in weights.items()}
    try:
        module.load_state_dict(weights)
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise ModelError(f"{path} does not fit the module: {reason}") from error


def state_dict(path: Path, key: str | None) -> dict[str, torch.Tensor]:
    """The tensors of a file of safetensors or, without anything that is no tensor, of torch.save.

    Raises ModelError.
    """
    held: Any = _read_tensors(path)
    for part in key.split(".") if key is not None else ():
        if not isinstance(held, Mapping) or part not in held:
            raise ModelError(
                f"{path} has no {key!r}: run `idleak inspect {path}`, correct generator.weights_key"
            )
        held = held[part]
    if not isinstance(held, Mapping) or not all(isinstance(value, torch.Tensor) for value in held.values()):
        raise ModelError(
            f"{path} is a checkpoint that holds more than tensors: set generator.weights_key to its state "
            f"dict, as `idleak inspect {path}` says"
        )
    return dict(held)


def _read_tensors(path: Path) -> Any:
    try:
        with path.open("rb") as file:
            is_safe = file.read(9)[8:] == b"{"
        if is_safe:
            return load_file(path)
        with safe_globals([(Inert, name) for name in INERT]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{path} is not a readable safetensors file: {error}") from error
    except Exception as error:
        # torch.load promises no kinds of errors; it refuses all that is not a tensor, a plain value or inert.
        raise ModelError(
            f"{path} is no file of tensors alone, and nothing else is unpickled: run `idleak inspect {path}`"
        ) from error
