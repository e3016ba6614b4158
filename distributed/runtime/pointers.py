"""Files that stand for others: Git LFS pointers, which a checkout without Git LFS has in place of models and
images, web pages that a download was answered with, and symbolic links, as in the snapshots of a Hugging Face
cache."""

from __future__ import annotations

import re
from pathlib import Path

from schemas.errors import SpecError

HEAD = b"version https://git-lfs.github.com/spec/v1\n"
MOST_BYTES = 1024
"""No pointer is longer."""
PAGES = (b"<!doctype html", b"<html")
SNAPSHOTS, BLOBS = "snapshots", "blobs"


def pointer_problem(name: object, head: bytes) -> str | None:
    """What a file is that begins with `head`, and how to get the file it stands for, if it is a pointer."""
    if not head.startswith(HEAD):
        return None
    stated = re.search(rb"^size (\d{1,15})$", head, re.M)
    size = f" of {int(stated[1]):,} bytes" if stated else ""
    return (
        f"{name} is a Git LFS pointer, not the file{size} that it stands for: run `git lfs pull` in its "
        "repository, or download the file itself"
    )


def page_problem(name: object, head: bytes) -> str | None:
    """The same of a web page, which downloads without a login, or of a page about the file, give."""
    if not head.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(PAGES):
        return None
    return (
        f"{name} is a web page, saved in place of the file: log in where that is needed, and fetch the file "
        "itself"
    )


def stand_in_problem(path: Path) -> str | None:
    """Both of a file. Raises OSError if it cannot be read."""
    with path.open("rb") as file:
        head = file.read(MOST_BYTES)
    return pointer_problem(path, head) or page_problem(path, head)


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
        raise SpecError(f"{link} is a symbolic link that leads to no file: remove or correct it") from error
    if not target.is_relative_to(home):
        raise SpecError(f"{link} is a symbolic link that leads out of {home}: put the file itself there")
    if not target.is_file():
        raise SpecError(f"{link} is a symbolic link to a folder, which may be listed twice: put files there")
