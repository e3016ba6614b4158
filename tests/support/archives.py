"""Tar files of members that a test gives."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

Members = Mapping[str, bytes] | Iterable[tuple[str, bytes]]


def write_tar(path: Path, members: Members, **options: Any) -> Path:
    """Members in their order; of pairs, two may have one name. options: of `tarfile.open`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", **options) as file:
        for name, content in members.items() if isinstance(members, Mapping) else members:
            add_member(file, name, content)
    return path


def add_member(file: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    file.addfile(member, io.BytesIO(content))
