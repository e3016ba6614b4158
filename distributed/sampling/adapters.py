"""Which adapter serves which `generator.kind`."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from distributed.sampling.generator import (
    DEFAULT_PIXELS,
    Adapter,
    AnsweringSource,
    Image,
    ImageSource,
    InvalidImage,
    Loading,
)
from distributed.sampling.sandbox.parent import SandboxedSource
from distributed.sampling.sandbox.trust import require_trust
from schemas.run.tables import Outcome
from schemas.spec.generators import GeneratorSpec
from schemas.spec.generators.base import Generator
from schemas.spec.generators.http import HttpGenerator

# Imported when first used: some need libraries that others can do without.
MODULES = {
    "onnx": "distributed.sampling.networks.onnx_generator",
    "torchscript": "distributed.sampling.networks.torchscript",
    "torch_export": "distributed.sampling.networks.torch_export",
    "module": "distributed.sampling.networks.python_module",
    "stylegan": "distributed.sampling.networks.stylegan",
    "diffusers": "distributed.sampling.networks.diffusers_folder",
    "images": "distributed.sampling.images.image_files",
    "webdataset": "distributed.sampling.images.webdataset",
    "parquet": "distributed.sampling.images.parquet_images",
    "recordio": "distributed.sampling.images.recordio_images",
    "templates": "distributed.sampling.templates.template_rows",
    "http": "distributed.sampling.api.http_source",
}


def open_generator(
    spec: GeneratorSpec,
    seed: int,
    *,
    device: str,
    threads: int,
    pixels: int = DEFAULT_PIXELS,
    prepared: Any = None,
    run: str = "",
) -> ImageSource:
    """The generator under audit, loaded; one that is code in a process of its own.

    Raises ModelError, SpecError or DeviceError if that cannot be.
    """
    if spec.is_code:
        require_trust(spec)
        return CheckedSource(SandboxedSource(spec, seed, device=device, threads=threads))
    return CheckedSource(open_here(spec, seed, Loading(device, threads, pixels, prepared, run)))


def open_again(spec: GeneratorSpec, seed: int, *, device: str, run: str) -> ImageSource:
    """To look at a run's samples when it is over. Errors as above.

    A generator whose every answer costs is not asked: what was kept of its answers is shown.
    """
    if isinstance(spec, HttpGenerator):
        from distributed.sampling.api.http_source import open_kept

        return open_kept(spec, Loading(device, 1, run=run))
    return open_generator(spec, seed, device=device, threads=1)


def open_here(spec: GeneratorSpec, seed: int, loading: Loading) -> ImageSource:
    """The generator, loaded in this process: one that is data, or this is the process made for its code."""
    if loading.prepared is None:
        loading = replace(loading, prepared=prepare_generator(spec))
    return _adapter(spec).open_source(spec, seed, loading)


def prepare_generator(spec: GeneratorSpec) -> Any:
    """What `open_generator` may be given as `prepared` in another process. Raises SpecError."""
    return _asked(spec, "prepare", None)


def generator_fields(spec: GeneratorSpec) -> dict[str, str]:
    """The generator's part of a fingerprint. Raises ModelError or SpecError for a file that is missing."""
    fields = {"kind": spec.kind, "seeded": str(spec.seeded).lower()} | _adapter(spec).fingerprint_fields(spec)
    if spec.sweep:
        fields["factors"] = repr({name: list(values) for name, values in spec.sweep.items()})
    return {f"generator.{name}": value for name, value in fields.items()}


def image_count(spec: GeneratorSpec) -> int | None:
    """How many images the generator has; None if there is no end to them. Raises SpecError."""
    count: int | None = _asked(spec, "count", None)
    return count


def generator_notices(spec: GeneratorSpec) -> list[str]:
    """What of the source is no sample, in lines. Raises SpecError."""
    return list(_asked(spec, "notices", ()))


def _adapter(spec: Generator) -> Adapter:
    return cast(Adapter, import_module(MODULES[spec.kind]))


def _asked(spec: Generator, name: str, otherwise: Any) -> Any:
    """What the kind's function of this name says of the generator; `otherwise` of a kind that has none."""
    function = getattr(_adapter(spec), name, None)
    return otherwise if function is None else function(spec)


class CheckedSource:
    """A source whose images are looked at: one of a single colour is no image."""

    def __init__(self, source: ImageSource) -> None:
        self.source = source
        self.answering = source if isinstance(source, AnsweringSource) else None

    def sample(self, ids: NDArray[np.int64]) -> list[Image | InvalidImage]:
        """As the source gives them; where it gives too few, the rest are missing."""
        images = [_checked(image) for image in self.source.sample(ids)][: len(ids)]
        short = f"the generator gave {len(images)} images of {len(ids)} that it was asked for"
        return images + [InvalidImage(short, Outcome.MISSING)] * (len(ids) - len(images))


def _checked(image: Image | InvalidImage) -> Image | InvalidImage:
    if isinstance(image, InvalidImage):
        return image
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        return InvalidImage(f"the image has shape {image.shape} and type {image.dtype}", Outcome.WRONG_SHAPE)
    # Nearly every image differs in its first row already.
    if (image[0] == image[0, 0]).all() and (image == image[0, 0]).all():
        return InvalidImage("the image is of a single colour", Outcome.CONSTANT)
    return image
