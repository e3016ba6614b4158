"""A writer of MXNet's RecordIO, after dmlc-core's recordio.h and mxnet/recordio.py, for files of tests."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

MAGIC = struct.pack("<I", 0xCED7230A)


def framed(data: bytes) -> bytes:
    """As `RecordIOWriter::WriteRecord` does: cut where the magic number stands at a multiple of 4."""
    cuts = [place for place in range(0, len(data) - 3, 4) if data[place : place + 4] == MAGIC]
    bounds = [0, *(end for cut in cuts for end in (cut, cut + 4)), len(data)]
    parts = [data[start:stop] for start, stop in zip(bounds[::2], bounds[1::2], strict=True)]
    framed_parts = []
    for number, part in enumerate(parts):
        flag = 0 if len(parts) == 1 else 1 if number == 0 else 3 if number == len(parts) - 1 else 2
        framed_parts.append(MAGIC + struct.pack("<I", flag << 29 | len(part)) + part + bytes(-len(part) % 4))
    return b"".join(framed_parts)


def packed(label: float | Sequence[float], data: bytes, key: int = 0) -> bytes:
    """As `mxnet.recordio.pack` does."""
    if isinstance(label, int | float):
        return struct.pack("<IfQQ", 0, label, key, 0) + data
    return struct.pack("<IfQQ", len(label), 0, key, 0) + struct.pack(f"<{len(label)}f", *label) + data


def write(path: Path, records: Mapping[int, bytes]) -> Path:
    """A `.rec`, and its `.idx` beside it."""
    offset, lines = 0, []
    with path.open("wb") as file:
        for key, record in records.items():
            lines.append(f"{key}\t{offset}\n")
            offset += file.write(framed(record))
    path.with_suffix(".idx").write_text("".join(lines))
    return path


def write_insightface(path: Path, photos: Mapping[int, Sequence[bytes]], *, vector: bool = False) -> Path:
    """As InsightFace does: record 0 says where the images end, records after them whose they are."""
    records, ranges, key = {0: b""}, [], 1
    for label, images in photos.items():
        ranges.append((key, key + len(images)))
        for image in images:
            records[key] = packed([float(label), 0.0] if vector else float(label), image, key)
            key += 1
    for number, bounds in enumerate(ranges):
        records[key + number] = packed([float(bound) for bound in bounds], b"", key + number)
    records[0] = packed([float(key), float(key + len(ranges))], b"")
    return write(path, records)
