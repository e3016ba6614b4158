"""One folder of photos that are named after their people."""

from __future__ import annotations

import re
from pathlib import Path

from distributed.gallery.people.listing import ListedPhoto, Listing, listing_of
from distributed.gallery.people.tree import Tree
from schemas.errors import SpecError
from schemas.spec.people.folders import FlatPeople

NUMBERED = re.compile(r"(?P<identity>.*\S)_\d+", re.DOTALL)


def list_people(spec: FlatPeople) -> Listing:
    """The photos of the folder itself. Those of other names, and folders, are left out, with a notice."""
    tree = Tree(Path(spec.path))
    folders, files = tree.entries(tree.root)
    photos, others = [], []
    for path in tree.kept(files):
        name = NUMBERED.fullmatch(path.stem)
        if name is None:
            others.append(path)
        else:
            photos.append(ListedPhoto(name["identity"], path.name, path))
    if not photos:
        raise SpecError(
            f"{spec.path} holds no photo that is named after somebody, such as Ada_King_0001.jpg; for a "
            "folder per person give the kind folders, for a table of images the kind list: docs/people.md"
        )
    notices = [
        *tree.left_out(others, "photo", " whose name does not end in _ and a number"),
        *tree.left_out(folders, "folder", " in the folder"),
        *tree.notices(),
    ]
    return listing_of(photos, notices)
