"""A folder per person."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from distributed.gallery.people.listing import ListedPhoto, Listing, Notice, counted
from distributed.gallery.people.packed_listing import PackedListing
from distributed.gallery.people.tree import Tree
from schemas.errors import SpecError
from schemas.spec.people.folders import FoldersPeople


def list_people(spec: FoldersPeople) -> Listing:
    """Every photo below each person's folder."""
    return list_folders(Path(spec.path))


def list_folders(root: Path) -> Listing:
    """Photos beside the folders, empty folders and files that are no photos are left out, with a notice.

    Raises SpecError if nobody is left, or for a link that leads out of the root.
    """
    tree = Tree(root)
    folders, beside = tree.entries(root)
    if not folders and not beside:
        raise SpecError(f"{root} holds no images; give a folder with one folder of photos per identity")
    if not folders:
        raise SpecError(
            f"{root} has no folders; give a folder with one folder of photos per identity, or, for photos in "
            "one folder, the kind flat or list: docs/people.md"
        )
    photos, empty = PackedListing(), []
    for folder in folders:
        of_person = [ListedPhoto(folder.name, name, path) for name, path in sorted(tree.photos(folder))]
        photos.extend(of_person)
        if not of_person:
            empty.append(folder)
    if not photos:
        raise SpecError(f"none of the {counted(len(folders), 'folder')} of {root} holds a photo")
    notices = [
        *tree.left_out(beside, "file", " beside the folders of people"),
        *tree.left_out(empty, "folder", " without a photo"),
        *tree.notices(),
        *_too_high(photos),
    ]
    return Listing(photos, notices)


def _too_high(photos: Sequence[ListedPhoto]) -> list[Notice]:
    """Archives are often unpacked into a folder of their own, which would be one person."""
    if not all("/" in photo.name for photo in photos):
        return []
    people = len({photo.identity for photo in photos})
    inner = {(photo.identity, photo.name.rpartition("/")[0]) for photo in photos}
    if len(inner) == people:
        return []
    return [
        Notice(
            f"no photo lies right in the folder of a person ({people:,}), but in {len(inner):,} folders "
            "below them: if those are the people, the path is one folder too high"
        )
    ]
