"""StyleGAN2-ada-pytorch and StyleGAN3 as NVlabs' own gen_images.py runs them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from distributed.sampling.device.batches import DeviceBatch, UnevenImagesError
from distributed.sampling.device.quantised import CONSTANT, NOT_FINITE, is_constant
from distributed.sampling.generator import Image, InvalidImage
from distributed.sampling.networks.latents import standard_normal, stream_of, uniform_integers
from distributed.sampling.networks.onnx_export import to_onnx
from distributed.sampling.networks.torch_loading import require_device
from distributed.sampling.sandbox.trust import code_digests, require_trust, trusted_bytes
from schemas.errors import ModelError, first_line
from schemas.run.tables import Outcome
from schemas.spec.generators.base import Setting, Sweep
from schemas.spec.generators.stylegan import StyleganGenerator

MOST_SEEDS = 2**32
CUDA_BATCH = 16
"""Not measured."""


class StyleganImages:
    """Sample i: the image of `G_ema` for the i-th latent.

    Conventions as in NVlabs' gen_images.py: z from RandomState(seed).randn(1, z_dim) with `seeds: nvlabs`,
    one-hot classes, truncation ψ, noise_mode const, StyleGAN3's inverse input transform, and
    (x · 127.5 + 128) clamped to 0 … 255 and cut to uint8. On a CPU each sample is made alone.
    """

    def __init__(self, spec: StyleganGenerator, seed: int, *, device: str, threads: int) -> None:
        """Unpickles. Raises TrustError, DeviceError, and ModelError for a file without such a network."""
        require_device(device)
        require_trust(spec)
        torch.set_num_threads(threads)
        self._spec, self._seed, self._device = spec, seed, device
        self._sweep = Sweep({str(name): values for name, values in spec.factors.items()})
        self._network = _loaded(spec).to(device)
        self._require_labels()
        _transform(self._network, spec)

    def sample(self, ids: NDArray[np.int64]) -> list[Image | InvalidImage]:
        """The images of `ids`; one with a value that is no number is invalid."""
        images: dict[int, Image | InvalidImage] = {}
        for places in self._batches(ids):
            images |= dict(zip(places, self._run(ids[places]), strict=True))
        return [images[place] for place in range(len(ids))]

    def sample_batch(self, ids: NDArray[np.int64]) -> DeviceBatch:
        """The images of `ids` on the network's device. Raises UnevenImagesError for what is no RGB."""
        parts = [(places, _quantised(self._network_output(ids[places]))) for places in self._batches(ids)]
        shapes = {part.images.shape[1:] for _, part in parts}
        if len(shapes) != 1:
            raise UnevenImagesError
        order = torch.tensor(np.argsort([place for places, _ in parts for place in places]))
        images, state = (
            torch.cat([getattr(part, name) for _, part in parts]) for name in ("images", "state")
        )
        order = order.to(images.device)
        return DeviceBatch(images[order], state[order])

    def convert(self, to: str) -> tuple[bytes, dict[str, Any]]:
        """`G_ema` as `onnx`, with the spec's truncation and transform, and what its spec must say.

        Raises ModelError if that cannot be.
        """
        dim, classes = int(self._network.z_dim), int(self._network.c_dim)
        inputs = {"latent": torch.zeros(2, dim)}
        inputs |= {"label": torch.eye(classes)[[0, -1]]} if classes else {}
        return to_onnx(self._network, self._call, inputs, self._spec.path), {
            "network": {"latent": {"dim": dim}} | (self._label_fields(classes) if classes else {})
        }

    def _call(self, network: Any, latent: torch.Tensor, label: torch.Tensor | None = None) -> torch.Tensor:
        label = latent.new_zeros(latent.shape[0], 0) if label is None else label
        images: torch.Tensor = network(
            latent, label, truncation_psi=self._spec.truncation, noise_mode="const"
        )
        return images

    def _label_fields(self, classes: int) -> dict[str, Any]:
        label = {"kind": "class", "classes": classes, "encoding": "one_hot", "value": self._spec.label}
        return {"inputs": {"label": label}, "factors": dict(self._spec.factors)}

    def _batches(self, ids: NDArray[np.int64]) -> list[list[int]]:
        """Places in `ids`, one truncation in each part."""
        size = CUDA_BATCH if self._device == "cuda" else 1
        by_truncation: dict[float, list[int]] = {}
        for place, setting in enumerate(self._sweep.settings_of(ids)):
            by_truncation.setdefault(self._truncation(setting), []).append(place)
        return [all_[i : i + size] for all_ in by_truncation.values() for i in range(0, len(all_), size)]

    def _run(self, ids: NDArray[np.int64]) -> list[Image | InvalidImage]:
        return [_to_image(image) for image in self._network_output(ids)]

    def _network_output(self, ids: NDArray[np.int64]) -> torch.Tensor:
        settings, draws = self._sweep.settings_of(ids), self._sweep.draws(ids)
        latents = torch.from_numpy(self._latents(draws)).to(self._device)
        labels = torch.from_numpy(self._labels(draws, settings)).to(self._device)
        truncation = self._truncation(settings[0])
        with torch.inference_mode():
            made: torch.Tensor = self._network(latents, labels, truncation_psi=truncation, noise_mode="const")
        return made

    def _truncation(self, setting: Setting) -> float:
        return float(setting.get("truncation", self._spec.truncation))

    def _latents(self, draws: NDArray[np.int64]) -> NDArray[Any]:
        dim = int(self._network.z_dim)
        if self._spec.seeds == "idleak":
            return standard_normal(self._seed, draws, dim)
        if self._seed + int(draws.max()) >= MOST_SEEDS:
            raise ModelError(f"NVlabs' seeds end at {MOST_SEEDS - 1}: lower `seed` or `samples`")
        rows = [np.random.RandomState(self._seed + int(draw)).randn(1, dim) for draw in draws]
        return np.concatenate(rows)

    def _labels(self, draws: NDArray[np.int64], settings: Sequence[Setting]) -> NDArray[np.float32]:
        """(n, classes) one-hot, or (n, 0) for a network without classes."""
        classes = int(self._network.c_dim)
        if classes == 0:
            return np.zeros((len(draws), 0), np.float32)
        drawn = uniform_integers(self._seed, draws, classes, stream_of("label"))
        given = self._spec.label
        chosen = [
            int(setting.get("label", draw if given is None else given))
            for setting, draw in zip(settings, drawn, strict=True)
        ]
        return np.eye(classes, dtype=np.float32)[chosen]

    def _require_labels(self) -> None:
        classes = int(self._network.c_dim)
        given = [*self._spec.factors.get("label", ()), self._spec.label]
        wanted = [int(label) for label in given if label is not None]
        if wanted and max(wanted) >= classes:
            raise ModelError(f"{self._spec.path} has {classes} classes: correct generator.label")


def _loaded(spec: StyleganGenerator) -> Any:
    """`G_ema`, by the checkout's own `legacy.load_network_pkl`."""
    sys.path.insert(0, spec.code)
    try:
        file = trusted_bytes(Path(spec.path), tuple(code_digests(spec).values()))
        network = import_module("legacy").load_network_pkl(file)["G_ema"].eval().requires_grad_(False)
    except Exception as error:
        raise ModelError(
            f"{spec.path} cannot be read as a network pickle with the code in {spec.code} "
            f"({type(error).__name__}: {first_line(error)}): give NVlabs' checkout as generator.code"
        ) from error
    return network


def _transform(network: Any, spec: StyleganGenerator) -> None:
    """StyleGAN3's input: the inverse of a rotation and a translation."""
    layer = getattr(network.synthesis, "input", None)
    if layer is not None and hasattr(layer, "transform"):
        angle = np.deg2rad(spec.rotate)
        x, y = spec.translate
        matrix = np.array([[np.cos(angle), np.sin(angle), x], [-np.sin(angle), np.cos(angle), y], [0, 0, 1]])
        layer.transform.copy_(torch.from_numpy(np.linalg.inv(matrix)))
    elif spec.rotate or any(spec.translate):
        raise ModelError(f"{spec.path} is no StyleGAN3: leave out generator.rotate and generator.translate")


def _quantised(raw: torch.Tensor) -> DeviceBatch:
    """NVlabs' rule for a batch; no value is read back. Raises UnevenImagesError for what is no RGB."""
    if raw.ndim != 4 or raw.shape[1] != 3:
        raise UnevenImagesError
    images = _levels(raw)
    state = torch.where(is_constant(images), CONSTANT, 0)
    state = torch.where(torch.isfinite(raw).flatten(1).all(dim=1), state, NOT_FINITE)
    return DeviceBatch(images, state.to(torch.int8))


def _levels(raw: torch.Tensor) -> torch.Tensor:
    return torch.nan_to_num(raw * 127.5 + 128).clamp(0, 255).to(torch.uint8)


def _to_image(raw: torch.Tensor) -> Image | InvalidImage:
    if raw.ndim != 3 or raw.shape[0] != 3:
        return InvalidImage(f"the network's output has shape {tuple(raw.shape)}", Outcome.WRONG_SHAPE)
    if not torch.isfinite(raw).all():
        return InvalidImage("the network's output has values that are no numbers", Outcome.NOT_FINITE)
    image: Image = _levels(raw).permute(1, 2, 0).cpu().numpy()
    return image
