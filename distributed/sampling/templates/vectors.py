"""Vectors in .npy and Parquet files, on a disk or in a bucket, read row by row from where they lie."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from distributed.sampling.images.object_files import ObjectFiles
from distributed.sampling.images.parquet_images import open_parquet
from schemas.errors import SpecError

ARRAY, PARQUET = ".npy", ".parquet"
CLIP_FOLDER = "img_emb/"
"""Where clip-retrieval writes `img_emb_0.npy`, `img_emb_1.npy` and so on."""
HEADER_BYTES = 1 << 16
HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
"""By the version of the format; the third is of named columns."""
UNIT = 1e-3
"""Lengths that differ from 1 by less are due to rounding, as float16 rounds."""
Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class Keys:
    """How the spec calls the keys that name the files and the column, for messages."""

    path: str = "generator.path"
    column: str = "generator.template"


@dataclass(frozen=True)
class VectorPart:
    """Consecutive rows. place: the row group of a Parquet file, or the byte at which an array's rows begin.
    dtype: of an array, empty for Parquet. is_fortran: the array lies column by column."""

    name: str
    place: int
    rows: int
    dtype: str = ""
    is_fortran: bool = False


@dataclass(frozen=True, eq=False)
class VectorIndex:
    """Parts in the order of ids, where each one's ids begin, int64 (parts,), one past the last, and d."""

    parts: Sequence[VectorPart]
    first_id: NDArray[np.int64]
    stop: int
    dimension: int


class VectorFiles:
    """The files at a location: one .npy or .parquet, or a folder or prefix of either; of clip-retrieval's
    folder those of `img_emb`, by their number. Others are in the order of their names."""

    def __init__(self, location: str, column: str, keys: Keys | None = None) -> None:
        """column: of Parquet files. Raises SpecError for a location without such files, or with both."""
        self.location, self.column, self._keys = location, column, keys or Keys()
        self.suffix = _suffix(location, self._keys.path)
        self._files = ObjectFiles(location, self.suffix, self._keys.path)
        self.names = clip_order(self._files.names)
        self._kept: tuple[VectorPart, Vectors] | None = None

    @property
    def is_array(self) -> bool:
        return self.suffix.lower() == ARRAY

    def stamps(self) -> tuple[str, ...]:
        return self._files.stamps()

    def digests(self) -> Iterator[str]:
        """Name and sha256 of each file, a line each."""
        return (f"{name}\0{self._files.digest(name)}" for name in self.names)

    def index(self) -> VectorIndex:
        """By headers and footers alone. Raises SpecError for a file that holds no such vectors."""
        parts: list[VectorPart] = []
        dimensions: dict[int, str] = {}
        for name in self.names:
            of_file, dimension = self._array(name) if self.is_array else self._parquet(name)
            parts += of_file
            if of_file:
                dimensions.setdefault(dimension, name)
        if len(dimensions) > 1:
            lengths = "; ".join(f"{length} in {name}" for length, name in dimensions.items())
            raise SpecError(
                f"{self.location}: templates have different lengths ({lengths}): give those of one recogniser"
            )
        ends = np.cumsum([part.rows for part in parts], dtype=np.int64)
        if not parts or ends[-1] == 0:
            raise SpecError(f"{self.location} holds no rows; correct {self._keys.path}")
        return VectorIndex(parts, np.concatenate([[0], ends[:-1]]), int(ends[-1]), next(iter(dimensions)))

    def read(self, index: VectorIndex, first: int, stop: int) -> Vectors:
        """The rows (stop - first, d) as they lie there, float32; of NaN where Parquet has null.

        Raises SpecError for a file that is damaged.
        """
        pieces = []
        for part, begin in zip(index.parts, index.first_id, strict=True):
            low, high = max(first, int(begin)), min(stop, int(begin) + part.rows)
            if low < high:
                pieces.append(self._rows(part, low - int(begin), high - int(begin), index.dimension))
        return np.concatenate(pieces)

    def _rows(self, part: VectorPart, first: int, stop: int, dimension: int) -> Vectors:
        if part.dtype and not part.is_fortran:
            width = np.dtype(part.dtype).itemsize * dimension
            data = self._files.part(part.name, part.place + first * width, part.place + stop * width)
            return np.frombuffer(data, part.dtype).reshape(-1, dimension).astype(np.float32)
        if self._kept is None or self._kept[0] != part:
            self._kept = None
            self._kept = (part, self._whole(part, dimension))
        return self._kept[1][first:stop]

    def _whole(self, part: VectorPart, dimension: int) -> Vectors:
        """A row group, or an array that lies column by column."""
        if part.is_fortran:
            width = np.dtype(part.dtype).itemsize * dimension
            data = self._files.part(part.name, part.place, part.place + part.rows * width)
            return np.frombuffer(data, part.dtype).reshape(dimension, -1).T.astype(np.float32)
        with open_parquet(self._files, part.name) as file:
            try:
                column = file.read_row_group(part.place, columns=[self.column])[self.column]
            except (pa.ArrowException, OSError) as error:
                raise SpecError(f"{self._what(part.name)} is damaged: fetch it again") from error
        return self._listed(part.name, column.combine_chunks(), dimension)

    def _listed(self, name: str, lists: pa.Array, dimension: int) -> Vectors:
        lengths = np.unique(np.asarray(pc.list_value_length(lists.drop_null())))
        if len(lengths) > 1 or (len(lengths) and lengths[0] != dimension):
            raise SpecError(
                f"{self._what(name)}: templates of {self.column!r} have lengths from {lengths[0]} to "
                f"{max(lengths[-1], dimension)}"
            )
        rows = np.full((len(lists), dimension), np.nan, np.float32)
        known = ~np.asarray(lists.is_null())
        values = lists.drop_null().flatten().to_numpy(zero_copy_only=False)
        rows[known] = values.astype(np.float32).reshape(-1, dimension)
        return rows

    def _array(self, name: str) -> tuple[list[VectorPart], int]:
        with self._files.open(name) as file:
            size, head = file.size(), io.BytesIO(file.read(HEADER_BYTES))
        try:
            shape, is_fortran, dtype = HEADERS[np.lib.format.read_magic(head)](head)
        except Exception as error:
            # numpy promises no kinds of errors for damaged headers: SyntaxError and TokenError are among
            # them.
            raise SpecError(
                f"{self._what(name)} is no .npy file of numbers: fetch it again, or save it anew"
            ) from error
        if dtype.hasobject:
            raise SpecError(f"{self._what(name)} is no .npy file of numbers: save it anew")
        if len(shape) != 2 or dtype.kind != "f":
            raise SpecError(f"{self._what(name)} holds {shape} of {dtype}: give N × d floating-point numbers")
        if size < head.tell() + dtype.itemsize * shape[0] * shape[1]:
            raise SpecError(f"{self._what(name)} is truncated: fetch it again")
        return [VectorPart(name, head.tell(), shape[0], dtype.str, is_fortran)], shape[1]

    def _parquet(self, name: str) -> tuple[list[VectorPart], int]:
        with open_parquet(self._files, name) as file:
            self._require_vectors(name, file.schema_arrow)
            groups = range(file.num_row_groups)
            parts = [VectorPart(name, group, file.metadata.row_group(group).num_rows) for group in groups]
            return parts, self._dimension(name, file)

    def _require_vectors(self, name: str, schema: pa.Schema) -> None:
        if self.column not in schema.names:
            raise SpecError(
                f"{self._what(name)} has no column {self.column!r}, it has {schema.names}: set "
                f"{self._keys.column}"
            )
        if not is_vectors(schema.field(self.column).type):
            raise SpecError(
                f"{self._what(name)}: {self.column!r} holds {schema.field(self.column).type}, not a list of "
                "floating-point numbers in each row"
            )

    def _dimension(self, name: str, file: pq.ParquetFile) -> int:
        """Of the type where it has one, else of the first row that is no null; 0 if there is none."""
        kind = file.schema_arrow.field(self.column).type
        if pa.types.is_fixed_size_list(kind):
            return int(kind.list_size)
        try:
            for batch in file.iter_batches(batch_size=64, columns=[self.column]):
                if len(some := batch.column(0).drop_null()):
                    return len(some[0])
        except (pa.ArrowException, OSError) as error:
            raise SpecError(f"{self._what(name)} is damaged: fetch it again") from error
        return 0

    def _what(self, name: str) -> str:
        is_one = self.location.endswith(name.rpartition("/")[2])
        return self.location if is_one else f"{name} of {self.location}"


def is_vectors(kind: pa.DataType) -> bool:
    """Whether a column of this type has a list of floating-point numbers in each row."""
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    return bool(is_list and pa.types.is_floating(kind.value_type))


def clip_order(names: Sequence[str], folder: str = CLIP_FOLDER) -> list[str]:
    """Of clip-retrieval's files, those of one of its folders by their number; of all others, all as they
    are."""
    of_clip = [name for name in names if f"/{folder}" in f"/{name}"]
    return sorted(of_clip, key=_number) if of_clip else list(names)


def _number(name: str) -> tuple[int, str]:
    digits = re.search(r"(\d+)\.\w+$", name)
    return int(digits[1]) if digits else -1, name


def _suffix(location: str, key: str) -> str:
    """Whether the location is of arrays or of Parquet files; Parquet beside `img_emb` does not count."""
    for suffix in (ARRAY, PARQUET):
        if location.lower().endswith(suffix):
            return location[-len(suffix) :]
    arrays = _names(location, ARRAY, key)
    if not arrays:
        return PARQUET
    if not any(map(_is_of_clip, arrays)) and _names(location, PARQUET, key):
        raise SpecError(f"{location} holds both {ARRAY} and {PARQUET} files; give one of them as {key}")
    return ARRAY


def _is_of_clip(name: str) -> bool:
    return f"/{CLIP_FOLDER}" in f"/{name}"


def _names(location: str, suffix: str, key: str) -> list[str]:
    """None where there are none: whoever reads them then says why."""
    try:
        return ObjectFiles(location, suffix, key).names
    except SpecError:
        return []


def unit_rows(raw: Vectors) -> tuple[Vectors, NDArray[np.float64]]:
    """The rows (n, d) at unit length, of NaN where they have no direction; and the lengths (n,) they had."""
    lengths = np.linalg.norm(raw.astype(np.float64), axis=1)
    usable = np.isfinite(lengths) & (lengths > 0)
    rows = np.full_like(raw, np.nan)
    rows[usable] = raw[usable] / lengths[usable, None]
    return rows, lengths
