"""The map from pseudonyms to names, the one place in a run where people are named: sealed under its key."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from pydantic import ValidationError

from distributed.gallery.source import GallerySource
from distributed.gallery.template_sides import template_names
from distributed.storage.store import RunStore
from distributed.storage.vault import Vault
from schemas.errors import DamagedError
from schemas.run.artefacts import NAMES_FILE
from schemas.run.names import NameMap
from schemas.spec.audit import AuditSpec


def names_of(source: GallerySource) -> NameMap:
    """The names of everybody whose photos are enrolled."""
    pairs = partial(zip, source.photos, source.listed, strict=True)
    return NameMap(
        identities={photo.identity: _printable(listed.identity) for photo, listed in pairs()},
        photos={photo.name: _printable(listed.name) for photo, listed in pairs()},
    )


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
    """A file name with bytes that are not UTF-8 escaped, as JSON cannot hold them."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def seal_names(spec: AuditSpec, source: GallerySource, store: RunStore) -> NameMap:
    """Commit the map of everybody in the gallery whose name is known."""
    names = all_names(spec, source)
    write_names(store, Vault(spec.protection), names)
    return names


def all_names(spec: AuditSpec, source: GallerySource) -> NameMap:
    """Of everybody in the gallery whose name is known: from its sources, and beside earlier galleries."""
    vault = Vault(spec.protection)
    names = names_of(source).merged(template_names(spec, vault))
    for side in spec.gallery.sides:
        if side.earlier is not None:
            names = names.merged(read_names(RunStore(str(Path(side.earlier).parent)), vault))
    for person in source.erased:
        names = names.without(person, ())
    return names
