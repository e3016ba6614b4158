"""MXNet's RecordIO: images and labels in one `.rec`, and where each begins in an `.idx`.

A record is `<II`: the magic number, and 3 bits that say which part of a record this is above 29 bits of
length; then the bytes, padded to 4. A record in whose bytes the magic number stands at a multiple of 4 is
cut there into parts, and the number is left out (dmlc-core, recordio.h). An image's record begins with
`<IfQQ`: flag, label, id, id2; a flag above 0 says how many float32 follow, which are the label
(mxnet/recordio.py).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from schemas.errors import SpecError

MAGIC = 0xCED7230A
FRAME, HEADER = struct.Struct("<II"), struct.Struct("<IfQQ")
LENGTH_BITS = 29
WHOLE, FIRST, MIDDLE, LAST = range(4)
HEAD_BYTES = FRAME.size + HEADER.size + 8
"""Of a record, up to the second number of a vector label."""
ROWS_AT_ONCE = 1 << 16


@dataclass(frozen=True, slots=True)
class Record:
    """A record of an image that begins at a byte of a `.rec`."""

    path: str
    offset: int


def index_beside(rec: str, index: str | None) -> tuple[Path, Path]:
    """The `.rec` and its `.idx`; None: the one of the same name."""
    path = Path(rec)
    return path, path.with_suffix(".idx") if index is None else Path(index)


def read_record(record: Record) -> bytes:
    """The encoded image. Raises SpecError for a record that is damaged or cut off."""
    return next(read_records([record]))


def read_records(records: Iterable[Record]) -> Iterator[bytes]:
    """The encoded images of records of one file, which is opened once. Raises as `read_record`."""
    records = iter(records)
    for first in records:
        try:
            with open(first.path, "rb") as file:
                for record in chain([first], records):
                    yield _image(file, record)
        except OSError as error:
            raise SpecError(
                f"cannot read {first.path}: {error.strerror}; correct the path in the spec"
            ) from error


def _image(file: BinaryIO, record: Record) -> bytes:
    file.seek(record.offset)
    data = b"".join(_parts(file, record))
    if len(data) < HEADER.size:
        raise _damaged(record.path, record.offset)
    (flag, *_) = HEADER.unpack_from(data)
    return data[HEADER.size + 4 * flag :]


def _parts(file: Any, record: Record) -> Iterator[bytes]:
    """The bytes of a record, with the magic numbers that were left out between its parts."""
    expected = (WHOLE, FIRST)
    while True:
        head = file.read(FRAME.size)
        magic, lengths = FRAME.unpack(head) if len(head) == FRAME.size else (0, 0)
        part, length = lengths >> LENGTH_BITS, lengths & ((1 << LENGTH_BITS) - 1)
        data = file.read(length)
        if magic != MAGIC or part not in expected or len(data) < length:
            raise _damaged(record.path, record.offset)
        yield data
        if part in (WHOLE, LAST):
            return
        yield MAGIC.to_bytes(4, "little")
        file.seek(-length % 4, 1)
        expected = (MIDDLE, LAST)


def _damaged(path: str, offset: int) -> SpecError:
    return SpecError(f"{path} has no whole record at byte {offset:,}: fetch it and its .idx again")


@dataclass(frozen=True, eq=False)
class RecordIndex:
    """The images of a `.rec`: int64 (n,) keys and offsets, float32 (n,) labels, the first of a vector.

    left: keys of the `.idx` that are no images, by what InsightFace's record 0 says; 0 where there is none.
    """

    path: str
    key: NDArray[np.int64]
    offset: NDArray[np.int64]
    label: NDArray[np.float32]
    left: int


def record_index(rec: Path, idx: Path) -> RecordIndex:
    """Read from the `.idx` and the head of each record. Raises SpecError for files that do not fit."""
    try:
        stamps = tuple((path.stat().st_size, path.stat().st_mtime_ns) for path in (rec, idx))
    except OSError as error:
        raise SpecError(
            f"cannot read {error.filename}: {error.strerror}; a .rec needs its .idx beside it: correct the "
            "path, or `index`"
        ) from error
    return _indexed(rec, idx, stamps)


@lru_cache(maxsize=2)
def _indexed(rec: Path, idx: Path, stamps: tuple[tuple[int, int], ...]) -> RecordIndex:
    """stamps: so that changed files are read again."""
    key, offset = _idx(idx)
    flag, label, vector, length = _heads(rec, offset)
    images = _images(key, flag, vector, length)
    first = np.where(flag > 0, vector[:, 0], label)
    return RecordIndex(str(rec), key[images], offset[images], first[images], int((~images).sum()))


def _idx(path: Path) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Keys, rising, and offsets."""
    try:
        # Of nothing, numpy would warn.
        table = (
            np.loadtxt(path, np.int64, ndmin=2, comments=None)
            if path.stat().st_size
            else np.empty(0, np.int64)
        )
    except (OSError, ValueError) as error:
        raise _no_idx(path) from error
    if table.size == 0 or table.shape[1] != 2 or (table < 0).any():
        raise _no_idx(path)
    table = table[np.argsort(table[:, 0], kind="stable")]
    return table[:, 0], table[:, 1]


def _no_idx(path: Path) -> SpecError:
    return SpecError(f"{path} is no .idx, which has a key and an offset in each line: fetch it again")


def _heads(
    rec: Path, offset: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]:
    """Flag, label, two numbers of the vector label (n × 2) and length of each record."""
    if rec.stat().st_size < HEAD_BYTES - 8:
        raise _damaged(str(rec), 0)
    data = np.memmap(rec, np.uint8, "r")
    parts = [
        _heads_of(rec, data, offset[start : start + ROWS_AT_ONCE])
        for start in range(0, len(offset), ROWS_AT_ONCE)
    ]
    flag, label, vector, length = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    return flag, label, vector, length


def _heads_of(
    rec: Path, data: NDArray[np.uint8], offset: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]:
    # Past the end of the last record stands nothing: its last byte is read instead, and not used.
    places = np.minimum(offset[:, None] + np.arange(HEAD_BYTES), len(data) - 1)
    words = np.ascontiguousarray(data[places]).view("<u4")
    magic, lengths = words[:, 0], words[:, 1].astype(np.int64)
    part, length = lengths >> LENGTH_BITS, lengths & ((1 << LENGTH_BITS) - 1)
    broken = (magic != MAGIC) | (part > FIRST) | (length < HEADER.size)
    broken |= offset + FRAME.size + length > len(data)
    if broken.any():
        raise _damaged(str(rec), int(offset[np.argmax(broken)]))
    return words[:, 2].astype(np.int64), words[:, 3].view("<f4"), words[:, 8:10].view("<f4"), length


def _images(
    key: NDArray[np.int64], flag: NDArray[np.int64], vector: NDArray[np.float32], length: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Which records are images: all, or, where record 0 has a vector label and nothing else, those before
    its first number; InsightFace's other records hold the range of each identity."""
    is_range = key[0] == 0 and flag[0] >= 2 and length[0] == HEADER.size + 4 * flag[0]
    return (key > 0) & (key < vector[0, 0]) if is_range else np.ones(len(key), bool)
