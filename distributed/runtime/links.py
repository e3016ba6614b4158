"""Symbolic links among models and photos: followed where they stay inside a folder that is theirs."""

from __future__ import annotations

from pathlib import Path

from schemas.errors import SpecError

SNAPSHOTS, BLOBS = "snapshots", "blobs"


def home_of(folder: Path) -> Path:
    """The folder that links may not leave, without links in its path: the folder itself, or, in a Hugging
    Face cache, that of its repository."""
    return hub_repository(folder) or folder.resolve()


def hub_repository(folder: Path) -> Path | None:
    """The folder of a repository in a Hugging Face cache, where `snapshots/REVISION/…` leads to `blobs/…`, of
    a folder in one of its snapshots. None for any other folder."""
    real = folder.resolve()
    for snapshots in (real, *real.parents):
        if snapshots.name == SNAPSHOTS and (snapshots.parent / BLOBS).is_dir():
            return snapshots.parent
    return None


def in_hub(link: Path) -> Path | None:
    """The file that a link in a snapshot of a Hugging Face cache leads to, if it is one of its repository."""
    repository = hub_repository(link.parent)
    target = link.resolve()
    inside = repository is not None and target.is_relative_to(repository / BLOBS)
    return target if inside and target.is_file() else None


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
