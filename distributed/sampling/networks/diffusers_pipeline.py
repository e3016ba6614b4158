"""Images of a pipeline of diffusers, each from a seed of its own."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import diffusers
import numpy as np
import torch
from numpy.typing import NDArray

from distributed.sampling.generator import Image, InvalidImage
from distributed.sampling.networks.latents import stream_of, uniform_integers
from distributed.sampling.networks.torch_loading import require_device
from schemas.errors import ModelError, first_line
from schemas.run.tables import Outcome
from schemas.spec.generators.base import FactorValue, Sweep
from schemas.spec.generators.diffusers import DiffusersGenerator

SEEDS = 2**53
ARGUMENTS = {"label": "class_labels", "steps": "num_inference_steps", "guidance": "guidance_scale"}
LISTED = ("prompt", "negative_prompt", "label")


class PipelineImages:
    """Sample i: the pipeline's image for the i-th seed, made alone, so that no other sample changes it."""

    def __init__(self, spec: DiffusersGenerator, seed: int, *, device: str, threads: int) -> None:
        """Raises ModelError for a folder that cannot be loaded or does not take what the spec gives."""
        require_device(device)
        torch.set_num_threads(threads)
        self._spec, self._seed = spec, seed
        self._sweep = Sweep({str(name): values for name, values in spec.factors.items()})
        self._pipeline = _loaded(spec).to(device)
        self._pipeline.set_progress_bar_config(disable=True)
        self._require_arguments()

    def sample(self, ids: NDArray[np.int64]) -> list[Image | InvalidImage]:
        """The images of `ids`; what the pipeline's safety checker keeps back is withheld."""
        draws = self._sweep.draws(ids)
        seeds = uniform_integers(self._seed, draws, SEEDS, stream_of("torch.Generator"))
        settings = self._sweep.settings_of(ids)
        return [self._image(int(seed), dict(setting)) for seed, setting in zip(seeds, settings, strict=True)]

    def _image(self, seed: int, setting: dict[str, FactorValue]) -> Image | InvalidImage:
        generator = torch.Generator("cpu").manual_seed(seed)
        with torch.inference_mode():
            made = self._pipeline(
                **arguments(self._spec.call(setting)), generator=generator, output_type="np"
            )
        if any(getattr(made, "nsfw_content_detected", None) or ()):
            return InvalidImage("kept back by the pipeline's safety checker", Outcome.WITHHELD)
        return _to_image(made.images[0])

    def _require_arguments(self) -> None:
        taken = set(inspect.signature(type(self._pipeline).__call__).parameters)
        given = {name for setting in self._sweep.settings for name in self._spec.call(dict(setting))}
        strange = {name for name in given if ARGUMENTS.get(name, name) not in taken}
        if strange:
            kind = type(self._pipeline).__name__
            raise ModelError(f"{kind} takes no {min(strange)}: leave generator.{min(strange)} out")
        for name in ("prompt", "label"):
            argument = ARGUMENTS.get(name, name)
            if argument in taken and name not in given:
                raise ModelError(f"{type(self._pipeline).__name__} needs generator.{name}, or a factor of it")


def arguments(call: Mapping[str, FactorValue]) -> dict[str, Any]:
    """The pipeline's own names, and lists of one where it takes one entry per image."""
    return {ARGUMENTS.get(name, name): [value] if name in LISTED else value for name, value in call.items()}


def _loaded(spec: DiffusersGenerator) -> Any:
    loader: Any = diffusers.DiffusionPipeline
    diffusers.utils.logging.disable_progress_bar()
    try:
        return loader.from_pretrained(
            spec.path,
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
            dtype=getattr(torch, spec.dtype),
            low_cpu_mem_usage=False,
        )
    except Exception as error:
        raise ModelError(
            f"{spec.path} cannot be loaded by diffusers {diffusers.__version__} ({type(error).__name__}: "
            f"{first_line(error)}): it must hold safetensors, as save_pretrained writes them"
        ) from error


def _to_image(raw: NDArray[Any]) -> Image | InvalidImage:
    if raw.ndim != 3 or raw.shape[2] != 3:
        return InvalidImage(f"the pipeline's output has shape {raw.shape}", Outcome.WRONG_SHAPE)
    if not np.isfinite(raw).all():
        return InvalidImage("the pipeline's output has values that are no numbers", Outcome.NOT_FINITE)
    image: Image = np.rint(np.clip(raw, 0, 1) * 255).astype(np.uint8)
    return image
