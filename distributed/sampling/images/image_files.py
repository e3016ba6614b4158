"""A folder of generated images."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from distributed.runtime.digests import digest_files
from distributed.runtime.pointers import home_of, require_inside
from distributed.sampling.generator import ImageSource, Loading
from distributed.sampling.images.decode import HEAD_BYTES, IMAGE_SUFFIXES, looks_like_image
from distributed.sampling.images.places import PlacedImages
from schemas.errors import SpecError
from schemas.spec.generators.images import ImagesGenerator

NAMES_SHOWN = 5


def open_source(spec: ImagesGenerator, seed: int, loading: Loading) -> ImageSource:
    return PlacedImages(loading.prepared, loading.pixels)


def fingerprint_fields(spec: ImagesGenerator) -> dict[str, str]:
    return {"sha256": digest_files(Path(spec.path), prepare(spec))}


def prepare(spec: ImagesGenerator) -> list[Path]:
    """The files in the order of their ids."""
    return list_images(Path(spec.path))


def count(spec: ImagesGenerator) -> int:
    return len(prepare(spec))


def notices(spec: ImagesGenerator) -> list[str]:
    """What of the folder is no sample."""
    root = Path(spec.path)
    strays = sorted({path.name for path in _files(root) if not is_image_file(path)})
    if not strays:
        return []
    more = f" and {len(strays) - NAMES_SHOWN} more" if len(strays) > NAMES_SHOWN else ""
    return [f"left out as no images, by name and first bytes: {', '.join(strays[:NAMES_SHOWN])}{more}"]


def list_images(root: Path) -> list[Path]:
    """Every image below `root` that is not hidden, by name or first bytes, sorted by relative path in POSIX
    spelling.

    Raises SpecError if `root` is no readable folder, holds no image, or holds a symbolic link that leads out
    of it or, in a Hugging Face cache, out of its repository.
    """
    if not root.is_dir():
        raise SpecError(f"{root} is not a folder; give a folder of images")
    files = [path for path in _files(root) if is_image_file(path)]
    if not files:
        raise SpecError(f"{root} holds no images; give a folder with image files in it")
    return sorted(files, key=lambda path: path.relative_to(root).as_posix())


def is_image_file(path: Path) -> bool:
    """By its name; where that says nothing, by its first bytes. Raises SpecError if it cannot be read."""
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return True
    try:
        with path.open("rb") as file:
            return looks_like_image(file.read(HEAD_BYTES))
    except OSError as error:
        raise SpecError(f"cannot read {path}: {error.strerror}; make it readable, or move it away") from error


def _files(root: Path) -> Iterator[Path]:
    home = home_of(root)
    for path in _below(root):
        if path.is_symlink():
            require_inside(path, home)
        if path.is_file():
            yield path


def _below(folder: Path) -> Iterator[Path]:
    """Every file, folder and link below that is not hidden; pathlib's own search passes over what it may not
    read. Raises SpecError for a folder that cannot be read."""
    try:
        with os.scandir(folder) as entries:
            shown = [entry for entry in entries if not entry.name.startswith(".")]
        for entry in shown:
            yield Path(entry.path)
            if entry.is_dir(follow_symlinks=False):
                yield from _below(Path(entry.path))
    except OSError as error:
        raise SpecError(f"cannot list {folder}: {error.strerror}; make it readable") from error
