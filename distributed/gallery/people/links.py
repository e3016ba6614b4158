"""Symbolic links among photos: followed where they stay inside the source's own folder."""

from __future__ import annotations

from pathlib import Path

from schemas.errors import SpecError

SNAPSHOTS, BLOBS = "snapshots", "blobs"


def home_of(folder: Path) -> Path:
    """The folder that links may not leave, without links in its path: the source's own, or, in a Hugging Face
    cache, the folder of its repository, where `snapshots/REVISION/…` leads to `blobs/…`."""
    real = folder.resolve()
    for snapshots in (real, *real.parents):
        if snapshots.name == SNAPSHOTS and (snapshots.parent / BLOBS).is_dir():
            return snapshots.parent
    return real


def require_inside(link: Path, home: Path) -> None:
    """Raise SpecError for a link that leads to no file, or out of `home`."""
    try:
        target = link.resolve(strict=True)
    except (OSError, RuntimeError) as error:
        raise SpecError(f"{link} is a symbolic link that leads to no file: remove it, or mend it") from error
    if not target.is_relative_to(home):
        raise SpecError(f"{link} is a symbolic link that leads out of {home}: put the file itself there")
    if not target.is_file():
        raise SpecError(f"{link} is a symbolic link to a folder, which may be listed twice: put files there")
