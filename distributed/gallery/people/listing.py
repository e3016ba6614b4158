"""What a source of people lists: photos, and what it has to say of them."""

from __future__ import annotations

import hashlib
import heapq
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from distributed.sampling.images.places import Place
from schemas.spec.people.base import PhotoSource

IMAGE_SUFFIXES = frozenset(
    {
        ".avif",
        ".bmp",
        ".gif",
        ".heic",
        ".heif",
        ".hif",
        ".jfif",
        ".jp2",
        ".jpe",
        ".jpeg",
        ".jpg",
        ".mpo",
        ".pgm",
        ".png",
        ".ppm",
        ".tif",
        ".tiff",
        ".webp",
    }
)


@dataclass(frozen=True)
class Notice:
    """What was left out, or, where `warns` is false, inferred. text: a sentence that names nobody. details:
    what it is about, a line each; names of people may be among them."""

    text: str
    details: Sequence[str] = ()
    warns: bool = True


@dataclass(frozen=True, slots=True)
class ListedPhoto:
    """One photo of one identity, as the source names them; no other photo of the identity has the name."""

    identity: str
    name: str
    place: Place


@dataclass(frozen=True)
class Listing:
    """photos: in the order in which they are best read. attributes: column -> identity ->
    value."""

    photos: Sequence[ListedPhoto]
    notices: Sequence[Notice] = ()
    attributes: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


class PeopleAdapter(Protocol):
    """One kind of source of people: a module."""

    def list_people(self, spec: PhotoSource) -> Listing:
        """All its photos. Raises SpecError, one line, for what cannot be used; opens no photo."""
        ...


def listing_of(photos: Sequence[ListedPhoto], notices: Sequence[Notice] = ()) -> Listing:
    """The listing of photos that come in any order, sorted by identity and name."""
    return Listing(sorted(photos, key=lambda photo: (photo.identity, photo.name)), notices)


def limited(listing: Listing, spec: PhotoSource) -> Listing:
    """At most `spec.at_most` photos of each person: those whose digest of seed, person and name is least, so
    that the choice does not depend on the order of the listing, nor on other photos."""
    if spec.at_most is None:
        return listing
    people: dict[str, list[ListedPhoto]] = defaultdict(list)
    for photo in listing.photos:
        people[photo.identity].append(photo)
    chosen = {
        (photo.identity, photo.name)
        for photos in people.values()
        for photo in heapq.nsmallest(spec.at_most, photos, key=lambda photo: _lot(spec.seed, photo))
    }
    kept = [photo for photo in listing.photos if (photo.identity, photo.name) in chosen]
    left = len(listing.photos) - len(kept)
    if not left:
        return listing
    text = f"{left:,} photos are left out by at_most: {spec.at_most} of each person were chosen by the seed"
    notices = [*listing.notices, Notice(f"{text} {spec.seed}", warns=False)]
    return replace(listing, photos=kept, notices=notices)


def _lot(seed: int, photo: ListedPhoto) -> bytes:
    text = f"{seed}\0{photo.identity}\0{photo.name}"
    return hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=16).digest()


def counted(number: int, noun: str) -> str:
    """`1 file`, `2 files`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
