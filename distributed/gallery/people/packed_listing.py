"""Listed photos by the million, at the size of their names."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence

from distributed.gallery.people.listing import ListedPhoto
from distributed.sampling.images.packed_places import Packed, PackedPlaces, Texts


class PackedListing(Packed[ListedPhoto]):
    """Listed photos in their order, each made when it is asked for.

    people: each identity once, in the order in which they come first. person: of each photo, its number
    among them.
    """

    def __init__(self, photos: Iterable[ListedPhoto] = ()) -> None:
        self.people: list[str] = []
        self.person = array("i")
        self.names, self.places = Texts(), PackedPlaces()
        self._numbers: dict[str, int] = {}
        self.extend(photos)

    def extend(self, photos: Iterable[ListedPhoto]) -> None:
        for photo in photos:
            number = self._numbers.setdefault(photo.identity, len(self.people))
            if number == len(self.people):
                self.people.append(photo.identity)
            self.person.append(number)
            self.names.append(photo.name)
            self.places.append(photo.place)

    def __len__(self) -> int:
        return len(self.person)

    def __iter__(self) -> Iterator[ListedPhoto]:
        columns = zip(self.person, self.names, self.places, strict=True)
        return (ListedPhoto(self.people[number], name, place) for number, name, place in columns)

    def element(self, row: int) -> ListedPhoto:
        return ListedPhoto(self.people[self.person[row]], self.names[row], self.places[row])

    def __eq__(self, other: object) -> bool:
        """As a list of the same photos; so it has no hash, as no list has."""
        return isinstance(other, Sequence) and list(self) == list(other)


def packed(photos: Sequence[ListedPhoto]) -> PackedListing:
    """The photos, packed if they are not."""
    return photos if isinstance(photos, PackedListing) else PackedListing(photos)
