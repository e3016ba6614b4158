"""Duplicates in a gallery: photos with the same file or template, and names that differ in form alone."""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import combinations

import numpy as np
import pyarrow as pa

from distributed.gallery.enrolled import accepted, template_rows
from distributed.gallery.source import GallerySource
from schemas.errors import SpecError
from schemas.run.tables import Role

PAIRS_SHOWN = 5
"""An error names so many pairs of people: more would not fit its line."""

Owner = tuple[Role, str]
"""A side of the gallery, and a pseudonym."""


@dataclass(frozen=True, slots=True)
class KeyedPhoto:
    """A photo and what equal ones have in common."""

    identity: str
    photo: str
    role: Role
    key: Hashable


def file_keys(source: GallerySource) -> list[KeyedPhoto]:
    """The photos whose encoded bytes another photo has too, under pseudonyms, with their sha256."""
    rows = source.digests.may_be_repeated().tolist()
    pairs = ((source.photos[row], source.digests[row]) for row in rows)
    return [KeyedPhoto(photo.identity, photo.name, photo.role, digest) for photo, digest in pairs]


def template_keys(table: pa.Table, recognizer: str) -> list[KeyedPhoto]:
    """Every accepted photo of a gallery with its template's digest, which equal files share."""
    rows = accepted(table)
    templates = template_rows(rows, recognizer).astype(np.float16)
    people, photos, roles = (rows[name].to_pylist() for name in ("identity", "photo", "role"))
    keys = (blake2b(template.tobytes(), digest_size=16).digest() for template in templates)
    return [KeyedPhoto(*fields) for fields in zip(people, photos, map(Role, roles), keys, strict=True)]


def require_different_photos(photos: Iterable[KeyedPhoto], roles: Collection[Role] = tuple(Role)) -> None:
    """Raise SpecError if two people have an equal photo, with the pairs of people.

    roles: only where one of the two at least is on one of these sides.
    """
    pairs: Counter[tuple[Owner, Owner]] = Counter()
    for equal in _equal(photos):
        owners = sorted({(photo.role, photo.identity) for photo in equal})
        first = next((owner for owner in owners if owner[0] in roles), None)
        if first is not None:
            pairs.update((first, other) for other in owners if other != first)
    if pairs:
        raise SpecError(_refusal(pairs))


def _equal(photos: Iterable[KeyedPhoto]) -> Iterator[Sequence[KeyedPhoto]]:
    groups: dict[Hashable, list[KeyedPhoto]] = defaultdict(list)
    for photo in photos:
        groups[photo.key].append(photo)
    return (group for group in groups.values() if len(group) > 1)


def _refusal(pairs: Mapping[tuple[Owner, Owner], int]) -> str:
    shown = [
        f"{left[0]} {left[1]} and {right[0]} {right[1]} share {count}"
        for (left, right), count in sorted(pairs.items())[:PAIRS_SHOWN]
    ]
    more = [f"and {len(pairs) - PAIRS_SHOWN} more pairs"] if len(pairs) > PAIRS_SHOWN else []
    return (
        "the gallery has the same photos under two people, so that one person would count as two: "
        f"{'; '.join([*shown, *more])}. Remove one of the two people, or the photos that are in the wrong "
        "place; `idleak enroll SPEC --reveal` says who they are"
    )


def repeated_photos(photos: Iterable[KeyedPhoto]) -> list[tuple[str, list[str]]]:
    """(person, photos of theirs that are equal), each photo and person in the order of pseudonyms."""
    repeated = []
    for equal in _equal(photos):
        own: dict[str, set[str]] = defaultdict(set)
        for photo in equal:
            own[photo.identity].add(photo.photo)
        repeated += [(identity, sorted(names)) for identity, names in own.items() if len(names) > 1]
    return sorted(repeated)


def folded(name: str) -> str:
    """The name without case and spaces, in one form of Unicode (NFKC after full case folding)."""
    return "".join(unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold()).split())


def alike_names(names: Mapping[str, str]) -> list[tuple[str, str]]:
    """Pairs of pseudonyms, rising, whose names are one when folded. names: pseudonym -> name."""
    groups: dict[str, list[str]] = defaultdict(list)
    for pseudonym, name in names.items():
        groups[folded(name)].append(pseudonym)
    return sorted(pair for group in groups.values() for pair in combinations(sorted(group), 2))
