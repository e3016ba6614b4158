"""Images from files: a folder of generated images, or the photos of a gallery."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import ImageOps

from distributed.digests import digest_files
from distributed.sampling.generator import Image, ImageSource, InvalidImage
from schemas.errors import SpecError
from schemas.generators.images import ImagesGenerator


def open_source(spec: ImagesGenerator, seed: int, *, device: str, threads: int) -> ImageSource:
    """The folder as a source; the other arguments do not matter to it."""
    return ImageFiles(list_images(Path(spec.path)))


def fingerprint_fields(spec: ImagesGenerator) -> dict[str, str]:
    root = Path(spec.path)
    return {"sha256": digest_files(root, list_images(root))}


def count(spec: ImagesGenerator) -> int:
    return len(list_images(Path(spec.path)))


def list_images(root: Path) -> list[Path]:
    """Every file below `root` that is not hidden, sorted by relative path in POSIX spelling.

    Raises SpecError if `root` is no readable folder or holds no file.
    """
    if not root.is_dir():
        raise SpecError(f"{root} is not a folder; give a folder of images")
    try:
        files = [path for path in root.rglob("*") if path.is_file() and not _hidden(path.relative_to(root))]
    except OSError as error:
        raise SpecError(f"cannot list {root}: {error.strerror}; make it readable") from error
    if not files:
        raise SpecError(f"{root} holds no images; give a folder with image files in it")
    return sorted(files, key=lambda path: path.relative_to(root).as_posix())


def _hidden(relative: Path) -> bool:
    return any(part.startswith(".") for part in relative.parts)


class ImageFiles:
    """An image source whose id i is the i-th of a list of files."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths

    def sample(self, ids: NDArray[np.int64]) -> list[Image | InvalidImage]:
        """Decoded files as RGB, turned upright by their EXIF orientation."""
        return [read_image(self._paths[index]) for index in ids]


def read_image(path: Path) -> Image | InvalidImage:
    """Decode one file to H × W × 3 uint8 RGB, or say why that cannot be done."""
    try:
        with PillowImage.open(path) as image:
            return np.asarray(ImageOps.exif_transpose(image).convert("RGB"), np.uint8)
    except (OSError, ValueError, SyntaxError, PillowImage.DecompressionBombError) as error:
        return InvalidImage(f"{type(error).__name__}: not a readable image")
