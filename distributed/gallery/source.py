"""What a run's gallery is made from, under pseudonyms: the photos that may be enrolled."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from distributed.gallery.fingerprint import gallery_fingerprint
from distributed.gallery.people.listing import Notice
from distributed.gallery.photos import PackedPhotos, list_gallery, under_pseudonyms
from distributed.sampling.images.packed_places import Digests
from distributed.sampling.images.places import Place, PlaceReader
from distributed.storage.erasures import erased_identities
from distributed.storage.store import RunStore
from distributed.storage.vault import Vault
from schemas.fingerprint import Fingerprint
from schemas.spec.audit import AuditSpec

log = logging.getLogger(__name__)
MANY = 200_000
"""Photos whose reading takes so long that it is announced."""


@dataclass(frozen=True)
class GallerySource:
    """photos: under pseudonyms, without those of erased people. listed: the same, as their source names them.
    digests: sha256 of each as it is encoded. erased: pseudonyms of people who must not be enrolled again.
    notices: what the sources inferred and left out."""

    photos: PackedPhotos
    listed: PackedPhotos
    digests: Digests
    erased: frozenset[str]
    fingerprint: Fingerprint
    notices: Sequence[Notice] = ()


def gallery_source(spec: AuditSpec, store: RunStore | None) -> GallerySource:
    """store: of the run, which knows who was erased; None if there is no run yet.

    Raises SpecError for sources that cannot be used and for a key that is not there.
    """
    vault = Vault(spec.protection)
    erased = frozenset() if store is None else erased_identities(store)
    everybody, reader = list_gallery(spec.gallery), PlaceReader()
    listed, photos = everybody.photos, under_pseudonyms(everybody.photos, vault)
    if erased:
        listed = listed.only([identity not in erased for _, identity, _ in photos.named()])
        photos = under_pseudonyms(listed, vault)
    if len(photos) >= MANY:
        log.info("gallery: %s photos are listed, now each is read for its digest", f"{len(photos):,}")
    digests = Digests(reader.digests(photos.places))
    fingerprint = gallery_fingerprint(spec, photos, digests, vault.key_id, erased)
    return GallerySource(photos, listed, digests, erased, fingerprint, everybody.notices)


def photo_places(spec: AuditSpec) -> dict[tuple[str, str], Place]:
    """(identity, photo), as tables name them -> where the photo is; sides given as Parquet have none."""
    vault = Vault(spec.protection)
    photos = under_pseudonyms(list_gallery(spec.gallery).photos, vault)
    return {(photo.identity, photo.name): photo.place for photo in photos}
