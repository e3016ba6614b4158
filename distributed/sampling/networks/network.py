"""What all networks share: their inputs from sample ids, and images from their outputs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from distributed.sampling.generator import Image, InvalidImage
from distributed.sampling.networks.latents import draw_latents, stream_of, uniform_integers
from schemas.run.tables import Outcome
from schemas.spec.generators.base import Setting, Sweep
from schemas.spec.generators.network import (
    ClassInput,
    Distribution,
    ImageOutput,
    LatentInput,
    NetworkGenerator,
    NetworkInput,
    NumberInput,
)

MOST_OUTSIDE = 0.5
"""An image with more than this share of its values far outside the stated range was given another range."""

Float32 = NDArray[np.float32]


class NetworkInputs:
    """Sample ids to the arrays that a network takes."""

    def __init__(self, spec: NetworkGenerator, seed: int) -> None:
        self._spec, self._seed = spec, seed
        self._sweep = Sweep(spec.factors)

    def latents(self, ids: NDArray[np.int64]) -> Float32:
        """(len(ids), dim) float32; samples that differ by their setting alone have the same."""
        latent = self._spec.latent
        return draw_latents(self._seed, self._sweep.draws(ids), latent.dim, latent)

    def others(self, ids: NDArray[np.int64]) -> dict[str, NDArray[np.float32] | NDArray[np.int64]]:
        """The further inputs, by name, each with len(ids) rows."""
        draws, settings = self._sweep.draws(ids), self._sweep.settings_of(ids)
        return {
            name: self._input(name, network_input, draws, settings)
            for name, network_input in self._spec.inputs.items()
        }

    def _input(
        self, name: str, network_input: NetworkInput, draws: NDArray[np.int64], settings: Sequence[Setting]
    ) -> NDArray[np.float32] | NDArray[np.int64]:
        if isinstance(network_input, LatentInput):
            dim, stream = network_input.dim, stream_of(name)
            return draw_latents(self._seed, draws, dim, network_input, stream)
        if isinstance(network_input, NumberInput):
            return np.array([setting.get(name, network_input.value) for setting in settings], np.float32)
        return _encode(network_input, self._classes(name, network_input, draws, settings))

    def _classes(
        self, name: str, class_input: ClassInput, draws: NDArray[np.int64], settings: Sequence[Setting]
    ) -> NDArray[np.int64]:
        if name in self._spec.factors:
            return np.array([setting[name] for setting in settings], np.int64)
        if class_input.value is not None:
            return np.full(len(draws), class_input.value, np.int64)
        return uniform_integers(self._seed, draws, class_input.classes, stream_of(name))


def _encode(class_input: ClassInput, classes: NDArray[np.int64]) -> NDArray[np.float32] | NDArray[np.int64]:
    return (
        classes if class_input.encoding == "index" else np.eye(class_input.classes, dtype=np.float32)[classes]
    )


def network_fields(spec: NetworkGenerator) -> dict[str, str]:
    """The fields of a fingerprint that tell inputs and outputs."""
    fields = {
        "latent.dim": str(spec.latent.dim),
        "output.layout": spec.output.layout,
        "output.range": repr(spec.output.range),
        "output.channels": spec.output.channels,
    }
    fields |= {f"inputs.{name}": repr(network_input) for name, network_input in spec.inputs.items()}
    latents = {"latent": spec.latent} | {f"inputs.{name}": given for name, given in spec.inputs.items()}
    for name, given in latents.items():
        # Left out where they are standard normals, as they were before there was a choice.
        if isinstance(given, Distribution) and not given.is_standard:
            fields |= {f"{name}.distribution": given.distribution, f"{name}.scale": repr(given.scale)}
    return fields


def output_problem(shape: Sequence[int], output: ImageOutput) -> str | None:
    """What is wrong with the shape of a network's output for one sample, in one line."""
    axis, count = 1 if output.layout == "nchw" else 3, _channel_count(output)
    if len(shape) == 4 and shape[0] == 1 and shape[axis] == count:
        return None
    wanted = f"(1, {count}, H, W)" if output.layout == "nchw" else f"(1, H, W, {count})"
    if len(shape) == 4 and shape[axis] == 1:
        wanted += ": set generator.output.channels to grey"
    return (
        f"gives an output of shape {tuple(shape)} for one latent; generator.output.layout {output.layout} "
        f"wants {wanted}"
    )


def _channel_count(output: ImageOutput) -> int:
    return 1 if output.channels == "grey" else 3


def to_images(raw: Float32, output: ImageOutput) -> list[Image | InvalidImage]:
    """A network's output, N first, as images; one that cannot be an image says why."""
    return [_to_image(sample, output) for sample in raw]


def _to_image(raw: Float32, output: ImageOutput) -> Image | InvalidImage:
    channels = 0 if output.layout == "nchw" else 2
    if raw.ndim != 3 or raw.shape[channels] != _channel_count(output):
        return InvalidImage(f"the generator's output has shape {raw.shape}", Outcome.WRONG_SHAPE)
    if not np.isfinite(raw).all():
        return InvalidImage("the generator's output has values that are no numbers", Outcome.NOT_FINITE)
    image = raw.transpose(1, 2, 0) if output.layout == "nchw" else raw
    low, high = output.range
    share = np.count_nonzero(np.abs(image - (low + high) / 2) > high - low) / image.size
    if share > MOST_OUTSIDE:
        return InvalidImage(
            f"{share:.0%} of the values lie far outside generator.output.range", Outcome.WRONG_RANGE
        )
    scaled: Float32 = (image[..., ::-1] if output.channels == "bgr" else image).astype(np.float32)
    scaled = (scaled - low) * (255.0 / (high - low))
    rounded: Image = np.rint(np.clip(scaled, 0, 255)).astype(np.uint8)
    return np.repeat(rounded, 3, axis=2) if output.channels == "grey" else rounded
