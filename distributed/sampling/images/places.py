"""Where an encoded image lies: a file, bytes of one, a record, or a row of Parquet; and how it is read."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from distributed.runtime.digests import digest_file
from distributed.sampling.generator import DEFAULT_PIXELS, Image, InvalidImage
from distributed.sampling.images.decode import decode
from distributed.sampling.images.lmdb_images import Entry, read_entry
from distributed.sampling.images.object_files import ObjectFiles
from distributed.sampling.images.parquet_images import read_images
from distributed.sampling.images.recordio import Record, read_record, read_records
from schemas.errors import SpecError

TAR, PARQUET = ".tar", ".parquet"


@dataclass(frozen=True, slots=True)
class Span:
    """`size` bytes of a file, from `offset` on."""

    path: str
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class Part:
    """`size` bytes of a file in a folder or bucket, from `offset` on."""

    location: str
    name: str
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class Cell:
    """A row of a row group of a Parquet file, in a column of images."""

    location: str
    name: str
    column: str
    group: int
    row: int


Place = Path | Span | Record | Part | Cell | Entry


class PlaceReader:
    """Reads encoded images. Keeps the row group that it read last, and what it knows of locations."""

    def __init__(self) -> None:
        self._files: dict[str, ObjectFiles] = {}
        self._kept: tuple[Cell, pa.Array] | None = None

    def encoded(self, place: Place) -> bytes | Path:
        """What `decode` takes; no bytes where a Parquet file has none. Raises SpecError."""
        match place:
            case Path():
                return place
            case Span():
                return _read(place)
            case Record():
                return read_record(place)
            case Entry():
                return read_entry(place)
            case Part():
                files = self._opened(place.location, TAR)
                return bytes(files.part(place.name, place.offset, place.offset + place.size))
            case Cell():
                return self._row_group(place)[place.row].as_py() or b""

    def _opened(self, location: str, suffix: str) -> ObjectFiles:
        if location not in self._files:
            self._files[location] = ObjectFiles(location, suffix, "the source's `path`")
        return self._files[location]

    def _row_group(self, cell: Cell) -> pa.Array:
        first = replace(cell, row=0)
        if self._kept is None or self._kept[0] != first:
            self._kept = None
            files = self._opened(cell.location, PARQUET)
            self._kept = (first, read_images(files, cell.name, cell.group, cell.column))
        return self._kept[1]

    def digest(self, place: Place) -> str:
        """Hexadecimal sha256 of the encoded image. Raises SpecError or ModelError if it cannot be read."""
        encoded = self.encoded(place)
        return digest_file(encoded) if isinstance(encoded, Path) else hashlib.sha256(encoded).hexdigest()

    def digests(self, places: Iterable[Place]) -> Iterator[str]:
        """`digest` of each; a `.rec` is opened once for all its records that follow one another."""
        for path, run in groupby(places, record_path):
            if path is None:
                yield from map(self.digest, run)
            else:
                records = (place for place in run if isinstance(place, Record))
                yield from (hashlib.sha256(image).hexdigest() for image in read_records(records))


def record_path(place: Place) -> str | None:
    """Of a record's file; None for other places."""
    return place.path if isinstance(place, Record) else None


def _read(span: Span) -> bytes:
    try:
        with open(span.path, "rb") as file:
            file.seek(span.offset)
            data = file.read(span.size)
    except OSError as error:
        raise SpecError(f"cannot read {span.path}: {error.strerror}; correct the path in the spec") from error
    if len(data) < span.size:
        raise SpecError(f"{span.path} ends before byte {span.offset + span.size:,}: fetch it again")
    return data


def decode_at(place: Place, pixels: int = DEFAULT_PIXELS) -> Image | InvalidImage:
    """One image, as `decode` gives it."""
    return decode(PlaceReader().encoded(place), pixels)


class PlacedImages:
    """An image source whose id i is the i-th of a list of places."""

    def __init__(self, places: Sequence[Place], pixels: int = DEFAULT_PIXELS) -> None:
        self._places, self._pixels, self._reader = places, pixels, PlaceReader()

    def sample(self, ids: NDArray[np.int64]) -> list[Image | InvalidImage]:
        """Decoded images as RGB, turned upright by their EXIF orientation."""
        return [decode(self._reader.encoded(self._places[index]), self._pixels) for index in ids]
