"""The map from pseudonyms to names, the one place in a run where people are named: sealed under its key."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError

from distributed.gallery.photos import Photo
from distributed.gallery.source import GallerySource
from distributed.storage.store import RunStore
from distributed.storage.vault import Vault
from schemas.errors import DamagedError
from schemas.run.artefacts import NAMES_FILE


class NameMap(BaseModel):
    """identities: pseudonym -> name. photos: pseudonym -> name, within the person's folder."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    identities: Mapping[str, str] = {}
    photos: Mapping[str, str] = {}

    @classmethod
    def of(cls, pairs: Iterable[tuple[Photo, Photo]]) -> Self:
        """pairs: each photo under its pseudonyms, and as it is named in its folder."""
        pairs = list(pairs)
        return cls(
            identities={photo.identity: _printable(listed.identity) for photo, listed in pairs},
            photos={photo.name: _printable(listed.name) for photo, listed in pairs},
        )

    def merged(self, other: NameMap) -> NameMap:
        """Both maps' names."""
        return NameMap(
            identities={**self.identities, **other.identities}, photos={**self.photos, **other.photos}
        )

    def without(self, identity: str, photos: Iterable[str]) -> NameMap:
        """The map without a person and these photos of his."""
        gone = set(photos)
        return NameMap(
            identities={key: name for key, name in self.identities.items() if key != identity},
            photos={key: name for key, name in self.photos.items() if key not in gone},
        )


def names_of(source: GallerySource) -> NameMap:
    """The names of everybody who is enrolled from folders."""
    return NameMap.of(zip(source.photos, source.listed, strict=True))


def write_names(store: RunStore, vault: Vault, names: NameMap) -> None:
    """Seal and commit the map. It is sealed whether or not templates are encrypted."""
    store.write(NAMES_FILE, vault.seal(names.model_dump_json().encode(), NAMES_FILE))


def read_names(store: RunStore, vault: Vault) -> NameMap:
    """The map; empty if the run has none. Raises SpecError without its key, DamagedError."""
    if not store.exists(NAMES_FILE):
        return NameMap()
    try:
        return NameMap.model_validate_json(vault.open(store.read(NAMES_FILE), NAMES_FILE))
    except ValidationError as error:
        raise DamagedError(f"{store.location}/{NAMES_FILE} is damaged: run `idleak enroll` again") from error


def _printable(name: str) -> str:
    """A file name's bytes that are no UTF-8, written out: JSON holds none of them."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
