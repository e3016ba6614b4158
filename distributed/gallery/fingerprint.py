"""The fingerprint of a run's gallery."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from distributed.embedding.fingerprint import faces_fields, recognizer_fields
from distributed.gallery.photos import PackedPhotos
from distributed.gallery.template_sides import template_digests
from distributed.runtime.digests import digest_file, digest_lines
from distributed.runtime.versions import version_fields
from distributed.sampling.images.places import Place
from schemas.fingerprint import Fingerprint
from schemas.spec.audit import AuditSpec

HEIC_SUFFIXES = frozenset({".heic", ".heif", ".hif"})


def gallery_fingerprint(
    spec: AuditSpec,
    photos: PackedPhotos,
    photo_digests: Sequence[str],
    key_id: str,
    erased: frozenset[str] = frozenset(),
) -> Fingerprint:
    """Everything that changes a value in `gallery.parquet`, for sources of photos and sources that are
    an earlier `gallery.parquet` alike. photos: under pseudonyms of the key `key_id`; photo_digests: of their
    files."""
    fields = recognizer_fields(spec.faces) | {"gallery.photos": _digest_photos(photos, photo_digests)}
    fields |= {"protection.key": key_id}
    if erased:
        fields["gallery.erased"] = digest_lines(sorted(erased))
    for role, side in zip(("candidates", "cohort"), spec.gallery.sides, strict=True):
        if side.earlier is not None:
            fields[f"gallery.{role}.sha256"] = digest_file(Path(side.earlier))
    fields |= {f"gallery.{side}.templates": digest for side, digest in template_digests(spec.gallery).items()}
    fields |= faces_fields(spec.faces, detector=bool(photos) and spec.gallery.detector, search="all")
    if any(map(is_heic, photos.places)):
        fields["version.pillow-heif"] = _pillow_heif()
    fields["gallery.detector"] = str(spec.gallery.detector)
    return Fingerprint(fields | version_fields())


def is_heic(place: Place) -> bool:
    """By the file's name."""
    return isinstance(place, Path) and place.suffix.lower() in HEIC_SUFFIXES


def _pillow_heif() -> str:
    try:
        return version("pillow-heif")
    except PackageNotFoundError:
        return "none"


def _digest_photos(photos: PackedPhotos, digests: Sequence[str]) -> str:
    return digest_lines(
        f"{role}\0{identity}\0{name}\0{digest}"
        for (role, identity, name), digest in zip(photos.named(), digests, strict=True)
    )
