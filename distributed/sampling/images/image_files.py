"""A folder of generated images."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from distributed.runtime.digests import digest_files
from distributed.sampling.generator import ImageSource, Loading
from distributed.sampling.images.places import PlacedImages
from schemas.errors import SpecError
from schemas.spec.generators.images import ImagesGenerator


def open_source(spec: ImagesGenerator, seed: int, loading: Loading) -> ImageSource:
    paths = loading.prepared if loading.prepared is not None else prepare(spec)
    return PlacedImages(paths, loading.pixels)


def fingerprint_fields(spec: ImagesGenerator) -> dict[str, str]:
    return {"sha256": digest_files(Path(spec.path), prepare(spec))}


def prepare(spec: ImagesGenerator) -> list[Path]:
    """The files in the order of their ids."""
    return list_images(Path(spec.path))


def count(spec: ImagesGenerator) -> int:
    return len(prepare(spec))


def list_images(root: Path) -> list[Path]:
    """Every file below `root` that is not hidden, sorted by relative path in POSIX spelling.

    Raises SpecError if `root` is no readable folder, holds no file, or holds a symbolic link.
    """
    if not root.is_dir():
        raise SpecError(f"{root} is not a folder; give a folder of images")
    paths = list(_below(root))
    if link := next((path for path in paths if path.is_symlink()), None):
        raise SpecError(f"{link} is a symbolic link, which may lead anywhere: put the file itself there")
    files = [path for path in paths if path.is_file()]
    if not files:
        raise SpecError(f"{root} holds no images; give a folder with image files in it")
    return sorted(files, key=lambda path: path.relative_to(root).as_posix())


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
