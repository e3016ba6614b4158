"""Images in a column of Parquet files, read by row group."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from distributed.runtime.digests import digest_lines
from distributed.sampling.generator import Image, ImageSource, InvalidImage, Loading
from distributed.sampling.images.decode import decode
from distributed.sampling.images.object_files import ObjectFiles
from schemas.errors import SpecError
from schemas.run.tables import Outcome
from schemas.spec.generators.images import ParquetGenerator

MOST_BYTES = 2 << 30
BYTES_FIELD = "bytes"


@dataclass(frozen=True, eq=False)
class RowGroups:
    """The row groups of sorted files, in order: the file of each, its place in it, and where its ids begin.

    Arrays: int64 (groups,). stop: one past the last id.
    """

    names: Sequence[str]
    file: NDArray[np.int64]
    group: NDArray[np.int64]
    first_id: NDArray[np.int64]
    stop: int


def open_source(spec: ParquetGenerator, seed: int, loading: Loading) -> ImageSource:
    return ParquetImages(ObjectFiles(spec.path, ".parquet"), loading.prepared, spec.column, loading.pixels)


def fingerprint_fields(spec: ParquetGenerator) -> dict[str, str]:
    files = ObjectFiles(spec.path, ".parquet")
    return {"sha256": _digest(spec.path, files.stamps()), "column": spec.column}


def prepare(spec: ParquetGenerator) -> RowGroups:
    """By the footers alone. Raises SpecError for a file without the column, or that is damaged."""
    files = ObjectFiles(spec.path, ".parquet")
    return _row_groups(spec.path, spec.column, files.stamps())


def count(spec: ParquetGenerator) -> int:
    return prepare(spec).stop


@lru_cache(maxsize=4)
def _digest(location: str, stamps: tuple[str, ...]) -> str:
    """stamps: so that a changed file is read again."""
    files = ObjectFiles(location, ".parquet")
    return digest_lines(f"{name}\0{files.digest(name)}" for name in files.names)


@lru_cache(maxsize=4)
def _row_groups(location: str, column: str, stamps: tuple[str, ...]) -> RowGroups:
    files = ObjectFiles(location, ".parquet")
    rows: list[tuple[int, int, int]] = []
    first = 0
    for number, name in enumerate(files.names):
        with open_parquet(files, name) as file:
            require_images(f"{name} of {location}", file, column)
            for group in range(file.num_row_groups):
                rows.append((number, group, first))
                first += file.metadata.row_group(group).num_rows
    if first == 0:
        raise SpecError(f"{location} holds no rows; correct generator.path")
    place, group_of, first_id = np.array(rows, np.int64).T
    return RowGroups(files.names, place, group_of, first_id, first)


def open_parquet(files: ObjectFiles, name: str) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(files.open(name))
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise SpecError(f"{name} of {files.location} is no whole Parquet file: fetch it again") from error


def require_images(what: str, file: pq.ParquetFile, column: str, key: str = "generator.column") -> None:
    """Raise SpecError unless the column, which `key` of the spec names, holds images that can be read."""
    schema = file.schema_arrow
    if column not in schema.names:
        raise SpecError(f"{what} has no column {column!r}, it has {schema.names}: set {key}")
    if column not in image_columns(schema):
        kind = schema.field(column).type
        raise SpecError(f"{what}: {column!r} holds {kind}, not bytes of images: set {key}")
    groups = (file.metadata.row_group(group).total_byte_size for group in range(file.num_row_groups))
    if max(groups, default=0) > MOST_BYTES:
        raise SpecError(f"{what} has row groups of over {MOST_BYTES >> 30} GB: write it with smaller ones")


def image_columns(schema: pa.Schema) -> list[str]:
    """Those that may hold encoded images: bytes, or Hugging Face's struct of them."""
    return [field.name for field in schema if _holds_bytes(field.type)]


def _holds_bytes(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind) and kind.get_field_index(BYTES_FIELD) >= 0:
        kind = kind.field(BYTES_FIELD).type
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def read_images(files: ObjectFiles, name: str, group: int, column: str) -> pa.Array:
    """The encoded images of a row group; null where there is none. Raises SpecError for a damaged file."""
    with open_parquet(files, name) as file:
        try:
            table = file.read_row_group(group, columns=[column])
        except (pa.ArrowException, OSError) as error:
            raise SpecError(f"{name} of {files.location} is damaged: fetch it again") from error
    images = table[column].combine_chunks()
    return images.field(BYTES_FIELD) if pa.types.is_struct(images.type) else images


class ParquetImages:
    """An image source whose id i is the i-th row of sorted files. Keeps the row group it read last."""

    def __init__(self, files: ObjectFiles, groups: RowGroups, column: str, pixels: int) -> None:
        self._files, self._groups, self._column, self._pixels = files, groups, column, pixels
        self._kept: tuple[int, pa.Array] | None = None

    def sample(self, ids: NDArray[np.int64]) -> list[Image | InvalidImage]:
        """Decoded rows."""
        return list(self._decoded(ids))

    def _decoded(self, ids: NDArray[np.int64]) -> Iterator[Image | InvalidImage]:
        places = np.searchsorted(self._groups.first_id, ids, side="right") - 1
        for id_, place in zip(ids, places, strict=True):
            encoded = self._read(int(place))[int(id_ - self._groups.first_id[place])].as_py()
            if encoded is None:
                yield InvalidImage(f"no bytes in {self._column!r}", Outcome.MISSING)
            else:
                yield decode(encoded, self._pixels)

    def _read(self, place: int) -> pa.Array:
        if self._kept is None or self._kept[0] != place:
            self._kept = None
            self._kept = (place, self._row_group(place))
        return self._kept[1]

    def _row_group(self, place: int) -> pa.Array:
        name = self._groups.names[self._groups.file[place]]
        return read_images(self._files, name, int(self._groups.group[place]), self._column)
