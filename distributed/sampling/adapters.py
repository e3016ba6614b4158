"""Which adapter serves which `generator.kind`."""

from __future__ import annotations

from pathlib import Path

from distributed.sampling.generator import ImageSource
from distributed.sampling.image_files import ImageFiles, list_images
from distributed.sampling.onnx_generator import OnnxImageGenerator
from schemas.spec import ImagesGenerator, OnnxGenerator


def open_generator(
    spec: OnnxGenerator | ImagesGenerator, seed: int, *, device: str, threads: int
) -> ImageSource:
    """The generator under audit, loaded. Raises ModelError, SpecError or DeviceError if that cannot be."""
    if isinstance(spec, ImagesGenerator):
        return ImageFiles(list_images(Path(spec.path)))
    return OnnxImageGenerator(spec, seed, device=device, threads=threads)
