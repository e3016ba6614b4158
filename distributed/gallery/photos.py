"""The photos of the gallery, candidates and cohort, from whatever source."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import compress
from typing import overload

from distributed.gallery.people.adapters import list_source
from distributed.gallery.people.listing import ListedPhoto, Listing, Notice, counted
from distributed.gallery.people.packed_listing import PackedListing, packed
from distributed.sampling.images.packed_places import Digests, PackedPlaces
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


class PackedPhotos(Sequence[Photo]):
    """Photos at the size of their names, each made when it is asked for.

    The first `candidates` photos of the listing are of candidates. people, names: what identities and photos
    are called in place of what the listing calls them.
    """

    def __init__(
        self,
        listed: PackedListing,
        candidates: int,
        people: Sequence[str] | None = None,
        names: Sequence[str] | None = None,
    ) -> None:
        self.listed, self.candidates = listed, candidates
        self._people = listed.people if people is None else people
        self._names = listed.names if names is None else names

    def only(self, kept: Sequence[bool]) -> PackedPhotos:
        """Those of the kept ones, as the listing names them."""
        listed = PackedListing(compress(self.listed, kept))
        return PackedPhotos(listed, sum(kept[: self.candidates]))

    @property
    def places(self) -> PackedPlaces:
        return self.listed.places

    def named(self) -> Iterator[tuple[Role, str, str]]:
        """Role, identity and name of each, in their order."""
        for row, (person, name) in enumerate(zip(self.listed.person, self._names, strict=True)):
            yield self._role(row), self._people[person], name

    def __len__(self) -> int:
        return len(self.listed)

    def __iter__(self) -> Iterator[Photo]:
        return (self._photo(row, place) for row, place in enumerate(self.places))

    @overload
    def __getitem__(self, index: int) -> Photo: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[Photo, ...]: ...

    def __getitem__(self, index: int | slice) -> Photo | tuple[Photo, ...]:
        if isinstance(index, slice):
            return tuple(self[row] for row in range(*index.indices(len(self))))
        row = range(len(self))[index]
        return self._photo(row, self.places[row])

    def _photo(self, row: int, place: Place) -> Photo:
        return Photo(self._people[self.listed.person[row]], self._names[row], self._role(row), place)

    def _role(self, row: int) -> Role:
        return Role.CANDIDATE if row < self.candidates else Role.COHORT


@dataclass(frozen=True)
class ListedGallery:
    """photos: of candidates, then of the cohort, each in the order in which they are best read.
    sides: what else their sources say, without the photos."""

    photos: PackedPhotos
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
        first, person = self.photos.candidates, self.photos.listed.person
        for role, people in ((Role.CANDIDATE, person[:first]), (Role.COHORT, person[first:])):
            yield f"{role}: {len(set(people)):,} people, {counted(len(people), 'photo')}"


def list_gallery(gallery: GallerySpec) -> ListedGallery:
    """Raises SpecError for a source that cannot be used, or an identity on both sides."""
    candidates = list_source(gallery.candidates)
    photos = packed(candidates.photos)
    people, count = frozenset(photos.people), len(photos)
    candidates = replace(candidates, photos=())
    cohort = list_source(gallery.cohort)
    _require_apart(people, cohort.photos)
    photos.extend(cohort.photos)
    sides = {Role.CANDIDATE: candidates, Role.COHORT: replace(cohort, photos=())}
    return ListedGallery(PackedPhotos(photos, count), sides)


def list_photos(gallery: GallerySpec) -> Sequence[Photo]:
    """The photos alone."""
    return list_gallery(gallery).photos


def _require_apart(candidates: Collection[str], cohort: Iterable[ListedPhoto]) -> None:
    both = {photo.identity for photo in cohort if photo.identity in candidates}
    if both:
        raise SpecError(
            f"{len(both)} identities are in the candidates and in the cohort, such as {min(both)!r}; "
            "the cohort must be people outside the training data: remove them from one side"
        )


def under_pseudonyms(photos: PackedPhotos, vault: Vault) -> PackedPhotos:
    """The photos as tables name them. Raises SpecError if two people are one name in two forms of Unicode."""
    people = [vault.identity_pseudonym(identity) for identity in photos.listed.people]
    if len(set(people)) < len(people):
        first = dict(zip(reversed(people), reversed(photos.listed.people), strict=True))
        names = zip(people, photos.listed.people, strict=True)
        identity = next(identity for pseudonym, identity in names if first[pseudonym] != identity)
        raise SpecError(
            f"{identity} and another name are one in two forms of Unicode: put their photos under one"
        )
    pseudonyms = Digests(vault.photo_pseudonym(identity, name) for _, identity, name in photos.named())
    return PackedPhotos(photos.listed, photos.candidates, people, pseudonyms)
