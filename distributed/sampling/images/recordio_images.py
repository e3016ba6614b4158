"""Images in MXNet's RecordIO as samples."""

from __future__ import annotations

from distributed.runtime.digests import digest_file
from distributed.sampling.generator import ImageSource, Loading
from distributed.sampling.images.places import PlacedImages
from distributed.sampling.images.recordio import Record, index_beside, record_index
from schemas.errors import SpecError
from schemas.spec.generators.images import RecordioGenerator


def open_source(spec: RecordioGenerator, seed: int, loading: Loading) -> ImageSource:
    return PlacedImages(loading.prepared, loading.pixels)


def fingerprint_fields(spec: RecordioGenerator) -> dict[str, str]:
    rec, idx = index_beside(spec.path, spec.index)
    return {"sha256": digest_file(rec), "index.sha256": digest_file(idx)}


def prepare(spec: RecordioGenerator) -> list[Record]:
    """The images in the order of their keys. Raises SpecError for files that do not fit."""
    index = record_index(*index_beside(spec.path, spec.index))
    if not len(index.offset):
        raise SpecError(f"{spec.path} holds no images")
    return [Record(index.path, offset) for offset in index.offset.tolist()]


def count(spec: RecordioGenerator) -> int:
    return len(prepare(spec))
