"""Git LFS pointer files: a few lines of text where a checkout without Git LFS has no model or image."""

from __future__ import annotations

import re
from pathlib import Path

HEAD = b"version https://git-lfs.github.com/spec/v1\n"
MOST_BYTES = 1024
"""No pointer is longer."""


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


def pointer_in(path: Path) -> str | None:
    """The same of a file. Raises OSError if it cannot be read."""
    with path.open("rb") as file:
        return pointer_problem(path, file.read(MOST_BYTES))
