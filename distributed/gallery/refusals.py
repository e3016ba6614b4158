"""Why photos of a gallery are no images: tables keep the outcome alone."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from distributed.gallery.photos import Photo
from distributed.sampling.generator import InvalidImage
from distributed.sampling.images.places import decode_at
from schemas.run.tables import Outcome
from schemas.spec.audit import AuditSpec

MOST_LOOKED_AT = 50
"""Photos that are decoded once more."""

PhotoKey = tuple[str, str]
"""Identity and photo, as tables name them."""


def refusal_reasons(spec: AuditSpec, photos: Sequence[Photo], table: pa.Table) -> dict[PhotoKey, str]:
    """Of the first photos that are no images, by decoding them again. table: of `gallery.parquet`."""
    wrong = pc.is_in(table["outcome"], pa.array([Outcome.INVALID_IMAGE, Outcome.TOO_LARGE]))
    rows = table.filter(wrong).slice(0, MOST_LOOKED_AT)
    keys = set(zip(rows["identity"].to_pylist(), rows["photo"].to_pylist(), strict=True))
    places = {
        (photo.identity, photo.name): photo.place for photo in photos if (photo.identity, photo.name) in keys
    }
    images = {key: decode_at(place, spec.limits.pixels) for key, place in sorted(places.items())}
    return {key: image.reason for key, image in images.items() if isinstance(image, InvalidImage)}
