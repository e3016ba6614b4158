"""What is checked of a gallery's people before a photo is enrolled."""

from __future__ import annotations

from distributed.gallery.attributes import read_attributes
from distributed.gallery.labels import require_labels_of
from distributed.gallery.overlap import require_each_once
from distributed.gallery.source import GallerySource
from schemas.run.tables import Role
from schemas.spec.audit import AuditSpec


def require_usable_people(spec: AuditSpec, source: GallerySource) -> None:
    """Raise SpecError for a photo under two people, and for attributes or labels that cannot serve."""
    require_each_once(spec, source)
    read_attributes(spec)
    if spec.gallery.candidates.has_photos:
        candidates = (photo.identity for photo in source.photos if photo.role is Role.CANDIDATE)
        require_labels_of(spec, candidates)
