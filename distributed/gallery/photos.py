"""The photos of the gallery, candidates and cohort, from whatever source."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from distributed.gallery.people.adapters import list_source
from distributed.gallery.people.listing import Listing, Notice, counted
from distributed.sampling.images.places import Place
from distributed.storage.vault import Vault
from schemas.errors import SpecError
from schemas.run.tables import Role
from schemas.spec.gallery import GallerySpec


@dataclass(frozen=True, slots=True)
class Photo:
    """One photo of one identity; `name` is its name among theirs."""

    identity: str
    name: str
    role: Role
    place: Place


@dataclass(frozen=True)
class ListedGallery:
    """photos: of candidates, then of the cohort, each in the order in which they are best read.
    sides: as their sources list them; those given as Parquet have no photos."""

    photos: Sequence[Photo]
    sides: dict[Role, Listing]

    @property
    def notices(self) -> list[Notice]:
        """What was inferred and left out on each side."""
        return [
            replace(notice, text=f"{role}: {notice.text}")
            for role, listing in self.sides.items()
            for notice in listing.notices
        ]

    def counts(self) -> Iterator[str]:
        """How many people and photos there are on each side."""
        for role in Role:
            photos = [photo for photo in self.photos if photo.role is role]
            people = len({photo.identity for photo in photos})
            yield f"{role}: {people:,} people, {counted(len(photos), 'photo')}"


def list_gallery(gallery: GallerySpec) -> ListedGallery:
    """Raises SpecError for a source that cannot be used, or an identity on both sides."""
    sides = {
        Role.CANDIDATE: list_source(gallery.candidates),
        Role.COHORT: list_source(gallery.cohort),
    }
    photos = [
        Photo(photo.identity, photo.name, role, photo.place)
        for role, listing in sides.items()
        for photo in listing.photos
    ]
    _require_apart(photos)
    return ListedGallery(photos, sides)


def list_photos(gallery: GallerySpec) -> Sequence[Photo]:
    """The photos alone."""
    return list_gallery(gallery).photos


def _require_apart(photos: Sequence[Photo]) -> None:
    candidates = {photo.identity for photo in photos if photo.role is Role.CANDIDATE}
    both = candidates & {photo.identity for photo in photos if photo.role is Role.COHORT}
    if both:
        raise SpecError(
            f"{len(both)} identities are in the candidates and in the cohort, such as {min(both)!r}; "
            "the cohort must be people outside the training data: remove them from one side"
        )


def under_pseudonym(photo: Photo, vault: Vault, people: dict[str, str]) -> Photo:
    """The photo as tables name it. people: pseudonyms that are known, to which the person's is added: all
    photos of a person have one text, not copies of it."""
    identity = people.get(photo.identity)
    if identity is None:
        identity = people.setdefault(photo.identity, vault.identity_pseudonym(photo.identity))
    return Photo(identity, vault.photo_pseudonym(photo.identity, photo.name), photo.role, photo.place)


def require_different_names(pairs: Sequence[tuple[Photo, Photo]]) -> None:
    """Raise SpecError if two people are one name in two forms of Unicode."""
    names: dict[str, str] = {}
    for photo, listed in pairs:
        if names.setdefault(photo.identity, listed.identity) != listed.identity:
            raise SpecError(
                f"{listed.identity} and another name are one in two forms of Unicode: put their photos "
                "under one"
            )
