"""The photos of the gallery: one folder per identity, candidates and cohort."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from distributed.sampling.images.image_files import list_images
from schemas.errors import SpecError
from schemas.run.tables import Role
from schemas.spec.audit import GallerySpec


@dataclass(frozen=True)
class Photo:
    """One photo of one identity; `name` is its path within the identity's folder."""

    identity: str
    name: str
    role: Role
    path: Path


def list_photos(gallery: GallerySpec) -> list[Photo]:
    """Photos of candidates, then of the cohort, each by identity and name; sides given as Parquet have none.

    Raises SpecError for a folder without identities, an identity without photos, or one on both sides.
    """
    photos = []
    for role, source in ((Role.CANDIDATE, gallery.candidates), (Role.COHORT, gallery.cohort)):
        if source.images is not None:
            photos += _photos_of(Path(source.images), role)
    candidates = {photo.identity for photo in photos if photo.role is Role.CANDIDATE}
    both = candidates & {photo.identity for photo in photos if photo.role is Role.COHORT}
    if both:
        raise SpecError(
            f"{len(both)} identities are in the candidates and in the cohort, such as {min(both)!r}; "
            "the cohort must be people known to be outside the training data: remove them from one side"
        )
    return photos


def _photos_of(root: Path, role: Role) -> list[Photo]:
    list_images(root)
    folders = sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    if not folders:
        raise SpecError(f"{root} has no folders; give a folder with one folder of photos per identity")
    return [
        Photo(folder.name, path.relative_to(folder).as_posix(), role, path)
        for folder in folders
        for path in list_images(folder)
    ]
