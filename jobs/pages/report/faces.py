"""Faces for a report: a photo of each person, and the samples nearest to them, made again from their ids."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from PIL import Image as Pillow

from distributed.sampling.adapters import open_again
from distributed.sampling.generator import Image, InvalidImage
from distributed.sampling.images.places import Place, decode_at
from distributed.storage.results_file import Row
from jobs.pages.finished_run import FinishedRun
from jobs.pages.page import Face, data_uri
from jobs.pages.report.people import nearness
from jobs.pages.run_tables import compared_photos
from schemas.printable import printable
from schemas.spec.audit import AuditSpec

PIXELS = 128
NO_PHOTO = "enrolled without its photo"

PhotoPlaces = Mapping[tuple[str, str], Place]
"""(identity, photo), both as stored -> where the photo is."""


def draw_faces(
    spec: AuditSpec,
    nearest: Mapping[str, Sequence[Row]],
    photos: Mapping[str, str],
    device: str,
    places: Callable[[AuditSpec], PhotoPlaces],
) -> dict[str, list[Face]]:
    """Identity -> a photo of the person, then the nearest samples.

    nearest: identity -> rows of `neighbours.parquet`; photos: identity -> the photo to show. Pictures are
    small PNGs without any metadata of the photo. Raises SpecError, ModelError or DeviceError if photos or
    generator cannot be opened.
    """
    known = places(spec)
    generator = open_again(spec.generator, spec.seed, device=device, run=spec.output)
    faces = {}
    for identity, rows in nearest.items():
        if rows:
            samples = generator.sample(np.array([row["sample_id"] for row in rows], np.int64))
            faces[identity] = [_photo(known.get((identity, photos[identity]))), *map(_sample, rows, samples)]
    return faces


def photos_to_show(run: FinishedRun) -> dict[str, str]:
    """Identity -> the photo that a flag rests on; the first one that was compared where there is no flag."""
    first = {identity: of_person[0] for identity, of_person in compared_photos(run.photos).items()}
    return first | {result.identity: result.photo for result in run.results.evidence}


def _photo(place: Place | None) -> Face:
    image = InvalidImage(NO_PHOTO) if place is None else decode_at(place)
    return _face("photo", image)


def _sample(row: Row, image: Image | InvalidImage) -> Face:
    return _face(f"sample {row['sample_id']}: {nearness(row)}", image)


def _face(caption: str, image: Image | InvalidImage) -> Face:
    if isinstance(image, InvalidImage):
        return Face(printable(f"{caption}: {image.reason}"), None)
    return Face(caption, data_uri("image/png", small_png(image, PIXELS)))


def small_png(image: Image, longest: int) -> bytes:
    """The pixels and nothing else of the file, no side longer than `longest` pixels."""
    small = Pillow.fromarray(np.asarray(image, np.uint8))
    small.thumbnail((longest, longest))
    buffer = io.BytesIO()
    small.save(buffer, format="png")
    return buffer.getvalue()
