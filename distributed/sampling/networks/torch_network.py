"""What the torch formats share: a module that takes latents, run on one device."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Mapping
from functools import reduce
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch.serialization import safe_globals

from distributed.sampling.device.batches import DeviceBatch, UnevenImagesError
from distributed.sampling.device.quantised import quantised
from distributed.sampling.generator import Image, InvalidImage
from distributed.sampling.inert import INERT, Inert
from distributed.sampling.networks.network import NetworkInputs, output_problem, to_images
from distributed.sampling.networks.onnx_export import to_onnx, to_safetensors
from distributed.sampling.sandbox.trust import trusted_bytes
from schemas.errors import DeviceError, ModelError, first_line
from schemas.spec.generators.network import NetworkGenerator
from schemas.spec.generators.torch import ModuleGenerator

FIRST = np.zeros(1, np.int64)
PARALLEL = "module."

T = TypeVar("T")
Float32 = NDArray[np.float32]


class TorchImageGenerator:
    """Sample i: the module's image for the i-th latent of the seed.

    The latent is the module's first argument, (N, dim), or, where the module refuses that and takes this,
    (N, dim, 1, 1), as DCGANs do; the spec's `inputs` are keyword arguments.
    """

    def __init__(
        self,
        module: Any,
        spec: NetworkGenerator,
        seed: int,
        *,
        name: str,
        device: str,
        threads: int,
    ) -> None:
        """`name`: of the file, for errors. Raises ModelError if the module does not give RGB images."""
        torch.set_num_threads(threads)
        # Full float32 on every device, as ONNX networks have it: torch's convolutions take TF32 on CUDA.
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
        self._module, self._spec, self._name = module, spec, name
        self._inputs, self._device = NetworkInputs(spec, seed), device
        self._axes: tuple[int, ...] = ()
        if problem := output_problem(self._first().shape, spec.output):
            raise ModelError(f"{name} {problem}")

    def sample(self, ids: NDArray[np.int64]) -> list[Image | InvalidImage]:
        """The images of `ids`; one that cannot be an image is invalid."""
        return to_images(self._run(ids, _array), self._spec.output)

    def sample_batch(self, ids: NDArray[np.int64]) -> DeviceBatch:
        """The images of `ids` on the module's device. Raises UnevenImagesError for one of a strange shape."""
        batch = self._run(ids, self._quantised)
        if len(batch.images) != len(ids):
            raise UnevenImagesError
        return batch

    def convert(self, to: str) -> tuple[bytes, dict[str, Any]]:
        """The module as `onnx`, or its weights as `safetensors`; nothing that the spec does not say.

        Raises ModelError if that cannot be.
        """
        if to == "safetensors":
            return to_safetensors(self._module), {}
        latents, others = self._tensors(np.arange(2))
        # In ONNX the latent has a name, which no other input may have.
        inputs = {unused_name("latent", others): latents} | others
        names = list(others)
        return to_onnx(
            self._module,
            lambda module, latent, *rest: module(latent, **dict(zip(names, rest, strict=True))),
            inputs,
            self._name,
        ), {}

    def _first(self) -> Float32:
        """The output for one sample, which settles the axes of latents beside N and dim."""
        # The code is the user's, and may raise what it likes.
        try:
            made = self._called(*self._tensors(FIRST))
        except Exception as flat:
            self._axes = (1, 1)
            try:
                made = self._called(*self._tensors(FIRST))
            except Exception as spatial:
                raise self._refused(flat, spatial) from flat
        return _array(self._tensor_of(made))

    def _quantised(self, made: torch.Tensor) -> DeviceBatch:
        if output_problem(made[:1].shape, self._spec.output):
            raise UnevenImagesError
        return quantised(made, self._spec.output)

    def _refused(self, flat: Exception, spatial: Exception) -> ModelError:
        shape = {name: tuple(other.shape) for name, other in self._tensors(FIRST)[1].items()}
        others = f" and inputs of shapes {shape}" if shape else ""
        dim = self._spec.latent.dim
        return ModelError(
            f"{self._name} takes latents neither as (N, {dim}), {_last_line(flat)}, nor as (N, {dim}, 1, 1), "
            f"{_last_line(spatial)}{others}: correct generator.latent or its inputs"
        )

    def _run(self, ids: NDArray[np.int64], use: Callable[[torch.Tensor], T]) -> T:
        latents, others = self._tensors(ids)
        try:
            return use(self._tensor_of(self._called(latents, others)))
        except (RuntimeError, TypeError, ValueError) as error:
            raise ModelError(f"{self._name} fails: {_last_line(error)}") from error

    def _called(self, latents: torch.Tensor, others: Mapping[str, torch.Tensor]) -> Any:
        with torch.inference_mode():
            return self._module(latents, **others)

    def _tensor_of(self, made: Any) -> torch.Tensor:
        if not isinstance(made, torch.Tensor):
            raise ModelError(f"{self._name} gives a {type(made).__name__}, not a tensor of images")
        return made

    def _tensors(self, ids: NDArray[np.int64]) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        others = self._inputs.others(ids).items()
        latents = self._inputs.latents(ids)
        return self._tensor(latents.reshape(*latents.shape, *self._axes)), {
            name: self._tensor(values) for name, values in others
        }

    def _tensor(self, value: NDArray[Any]) -> torch.Tensor:
        return torch.from_numpy(value).to(self._device)


def _array(made: torch.Tensor) -> Float32:
    images: Float32 = made.to("cpu", torch.float32).numpy()
    return images


def unused_name(name: str, taken: Collection[str]) -> str:
    """`name`, with underscores until it is not `taken`."""
    while name in taken:
        name += "_"
    return name


def _last_line(error: Exception) -> str:
    kind, lines = type(error).__name__, str(error).strip().splitlines()
    return f"{kind}: {lines[-1].removeprefix(f'{kind}: ')}" if lines else kind


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
