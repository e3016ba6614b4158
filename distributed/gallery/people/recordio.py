"""MXNet's RecordIO, as InsightFace distributes its training sets."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from distributed.gallery.people.listing import ListedPhoto, Listing, Notice
from distributed.sampling.images.recordio import Record, RecordIndex, index_beside, record_index
from schemas.errors import SpecError
from schemas.spec.people.packed import RecordioPeople


def list_people(spec: RecordioPeople) -> Listing:
    """Every image, under its label. Raises SpecError for labels that are no whole numbers."""
    rec, idx = index_beside(spec.path, spec.index)
    index = record_index(rec, idx)
    _require_labels(index)
    labels, owner = np.unique(index.label, return_inverse=True)
    # One text for a person, not one for each of millions of photos.
    people = [str(int(label)) for label in labels.tolist()]
    rows = zip(index.key.tolist(), index.offset.tolist(), owner.tolist(), strict=True)
    photos = [
        ListedPhoto(people[person], str(key), Record(index.path, offset)) for key, offset, person in rows
    ]
    if not photos:
        raise SpecError(f"{rec} holds no images")
    return Listing(photos, _notices(rec, index))


def _require_labels(index: RecordIndex) -> None:
    wrong = ~(np.isfinite(index.label) & (index.label == np.floor(index.label)))
    if wrong.any():
        place = int(np.argmax(wrong))
        raise SpecError(
            f"{index.path}: record {index.key[place]} has the label {index.label[place]:g}, which names "
            "nobody: labels must be whole numbers, one for each identity"
        )


def _notices(rec: Path, index: RecordIndex) -> list[Notice]:
    if not index.left:
        return []
    text = f"{rec.name}: by its record 0, {len(index.key):,} records are images, and {index.left:,} are not"
    return [Notice(text, warns=False)]
