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
    rows = chosen_rows([(photo.identity, photo.name) for photo in listing.photos], spec)
    left = len(listing.photos) - len(rows)
    notices = [*listing.notices, *left_out_by_choice(left, spec)]
    return replace(listing, photos=[listing.photos[row] for row in rows], notices=notices)


def chosen_rows(keys: Sequence[tuple[str, str]], spec: PhotoSource) -> list[int]:
    """Which photos are taken, rising. keys: identity and name of each photo."""
    if spec.at_most is None:
        return list(range(len(keys)))
    people: dict[str, list[int]] = defaultdict(list)
    for row, (identity, _) in enumerate(keys):
        people[identity].append(row)
    lots = (
        heapq.nsmallest(spec.at_most, rows, key=lambda row: _lot(spec.seed, *keys[row]))
        for rows in people.values()
    )
    return sorted(row for rows in lots for row in rows)


def left_out_by_choice(left: int, spec: PhotoSource) -> list[Notice]:
    """What is said of photos that were not chosen."""
    if not left:
        return []
    text = f"{left:,} photos are left out by at_most: {spec.at_most} of each person were chosen by the seed"
    return [Notice(f"{text} {spec.seed}", warns=False)]


def _lot(seed: int, identity: str, name: str) -> bytes:
    text = f"{seed}\0{identity}\0{name}"
    return hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=16).digest()


def counted(number: int, noun: str) -> str:
    """`1 file`, `2 files`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
