"""What the torch formats share: a module that takes latents, run on one device."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from distributed.sampling.device.batches import DeviceBatch, UnevenImagesError
from distributed.sampling.device.quantised import quantised
from distributed.sampling.generator import Image, InvalidImage
from distributed.sampling.networks.network import NetworkInputs, output_problem, to_images
from distributed.sampling.networks.onnx_export import to_onnx, to_safetensors
from schemas.errors import ModelError
from schemas.spec.generators.network import NetworkGenerator

FIRST = np.zeros(1, np.int64)

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
