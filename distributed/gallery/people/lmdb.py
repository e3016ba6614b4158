"""LMDB of images and labels, as HSFace is distributed."""

from __future__ import annotations

from distributed.gallery.people.listing import ListedPhoto, Listing
from distributed.sampling.images.lmdb_images import Entry, entries
from schemas.errors import SpecError
from schemas.spec.people.packed import LmdbPeople


def list_people(spec: LmdbPeople) -> Listing:
    """Every image, under its label, named by its key."""
    photos = [
        ListedPhoto(str(label), key.decode("ascii", "backslashreplace"), Entry(spec.path, key))
        for key, label in entries(spec.path)
    ]
    if not photos:
        raise SpecError(f"{spec.path} holds no images")
    return Listing(photos)
