"""Files below a folder: those that may be photos, and what is left out."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path

from distributed.gallery.people.listing import Notice, counted
from distributed.runtime.pointers import home_of, require_inside
from distributed.sampling.images.image_files import is_image_file
from schemas.errors import SpecError


@dataclass
class Tree:
    """A folder that is walked. strays: files that are no photos; hidden: folders that begin with a dot.

    Files that begin with a dot do not count: systems leave them everywhere.
    """

    root: Path
    strays: list[Path] = field(default_factory=list)
    hidden: list[Path] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Raises SpecError if the root is no folder."""
        if not self.root.is_dir():
            raise SpecError(f"{self.root} is not a folder; give a folder of photos")
        self._home = home_of(self.root)

    def entries(self, folder: Path) -> tuple[list[Path], list[Path]]:
        """Folders and files right in a folder, sorted.

        Raises SpecError for a folder that cannot be read, and for a link that leads astray.
        """
        folders: list[Path] = []
        files: list[Path] = []
        for entry in sorted(_scan(folder), key=attrgetter("name")):
            path, is_hidden = Path(entry.path), entry.name.startswith(".")
            if entry.is_dir(follow_symlinks=False):
                (self.hidden if is_hidden else folders).append(path)
            elif not is_hidden and (entry.is_symlink() or entry.is_file()):
                if entry.is_symlink():
                    require_inside(path, self._home)
                files.append(path)
        return folders, files

    def photos(self, folder: Path, above: str = "") -> Iterator[tuple[str, Path]]:
        """Files below a folder that have the name or the first bytes of an image, by their names below it, in
        POSIX spelling, after `above`."""
        folders, files = self.entries(folder)
        for path in self.kept(files):
            yield above + path.name, path
        for inner in folders:
            yield from self.photos(inner, f"{above}{inner.name}/")

    def kept(self, files: Iterable[Path]) -> Iterator[Path]:
        """Those of them that may be photos; the others are strays."""
        for path in files:
            if is_image_file(path):
                yield path
            else:
                self.strays.append(path)

    def notices(self) -> list[Notice]:
        """What was left out, by name below the root."""
        return [
            *self.left_out(self.strays, "file", ", no image by name or first bytes"),
            *self.left_out(self.hidden, "folder", " beginning with a dot"),
        ]

    def left_out(self, paths: Sequence[Path], noun: str, what: str) -> list[Notice]:
        """That these were, by their names below the root in POSIX spelling; nothing if there are none."""
        names = sorted(path.relative_to(self.root).as_posix() for path in paths)
        return [Notice(f"left out: {counted(len(names), noun)}{what}", names)] if names else []


def _scan(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError as error:
        raise SpecError(f"cannot list {folder}: {error.strerror}; make it readable") from error
