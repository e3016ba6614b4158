"""`names.sealed`, once it is opened: who the pseudonyms of a run are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from schemas.frozen import Record


class NameMap(Record):
    """identities: pseudonym -> name. photos: pseudonym -> name, within the person's folder."""

    identities: Mapping[str, str] = {}
    photos: Mapping[str, str] = {}

    def merged(self, other: NameMap) -> NameMap:
        """Both maps' names."""
        return NameMap(
            identities={**self.identities, **other.identities}, photos={**self.photos, **other.photos}
        )

    def without(self, identity: str, photos: Iterable[str]) -> NameMap:
        """The map without a person and these photos of theirs."""
        gone = set(photos)
        return NameMap(
            identities={key: name for key, name in self.identities.items() if key != identity},
            photos={key: name for key, name in self.photos.items() if key not in gone},
        )
