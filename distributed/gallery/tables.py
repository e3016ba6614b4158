"""Tables of people that a spec names, attributes and labels, before the gallery is there."""

from __future__ import annotations

from collections.abc import Iterable

from distributed.gallery.attributes import read_attributes
from distributed.gallery.labels import require_labels_of
from distributed.gallery.photos import Photo
from schemas.run.tables import Role
from schemas.spec.audit import AuditSpec


def require_usable_tables(spec: AuditSpec, photos: Iterable[Photo]) -> None:
    """Raise SpecError, before a photo is enrolled, for attributes or labels that cannot serve.

    photos: of the gallery, under pseudonyms.
    """
    read_attributes(spec)
    if spec.gallery.candidates.has_photos:
        require_labels_of(spec, (photo.identity for photo in photos if photo.role is Role.CANDIDATE))
