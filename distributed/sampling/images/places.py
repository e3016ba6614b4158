"""Where an encoded image lies: a file, bytes of a file, or a record of one; and how it is read."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from distributed.runtime.digests import digest_file
from distributed.sampling.generator import DEFAULT_PIXELS, Image, InvalidImage
from distributed.sampling.images.decode import decode
from distributed.sampling.images.recordio import Record, read_record
from schemas.errors import SpecError


@dataclass(frozen=True, slots=True)
class Span:
    """`size` bytes of a file, from `offset` on."""

    path: str
    offset: int
    size: int


Place = Path | Span | Record


class PlaceReader:
    """Reads encoded images."""

    def encoded(self, place: Place) -> bytes | Path:
        """What `decode` takes. Raises SpecError for bytes that are not there."""
        if isinstance(place, Path):
            return place
        return _read(place) if isinstance(place, Span) else read_record(place)

    def digest(self, place: Place) -> str:
        """Hexadecimal sha256 of the encoded image. Raises SpecError or ModelError if it cannot be read."""
        encoded = self.encoded(place)
        return digest_file(encoded) if isinstance(encoded, Path) else hashlib.sha256(encoded).hexdigest()


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
