"""What the images were called whose templates are given, for whoever wants to look at one elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from distributed.sampling.images.object_files import ObjectFiles
from distributed.sampling.images.parquet_images import open_parquet
from distributed.sampling.templates.text_tables import read_table
from distributed.sampling.templates.vectors import PARQUET, VectorIndex, clip_order
from schemas.errors import SpecError
from schemas.spec.generators.templates import TemplatesGenerator

METADATA_FOLDER = "metadata/"
LIST_KEY, IMAGE_KEY = "generator.list", "generator.image"


def listed_rows(path: str) -> int:
    """How many rows a list has. Raises SpecError."""
    return len(read_table(Path(path), key=LIST_KEY).rows)


def image_names(spec: TemplatesGenerator, index: VectorIndex, ids: NDArray[np.int64]) -> list[str]:
    """The image's name of each id; none if the spec names no column. Raises SpecError."""
    if spec.image is None:
        return []
    if spec.list is not None:
        names = read_table(Path(spec.list), key=LIST_KEY).column(spec.image)
        return [names[id_] for id_ in ids]
    files = ObjectFiles(spec.path, PARQUET)
    is_array = bool(index.parts[0].dtype)
    of_part = clip_order(files.names, METADATA_FOLDER) if is_array else [part.name for part in index.parts]
    if len(of_part) != len(index.parts):
        raise SpecError(
            f"{spec.path} has {len(index.parts):,} files of templates, and {len(of_part):,} of metadata: "
            f"leave {IMAGE_KEY} out, or complete the folder"
        )
    places = np.searchsorted(index.first_id, ids, side="right") - 1
    columns = {place: _column(files, of_part, index, int(place), spec.image) for place in np.unique(places)}
    return [
        str(columns[place][int(id_ - index.first_id[place])].as_py())
        for id_, place in zip(ids, places, strict=True)
    ]


def _column(
    files: ObjectFiles, of_part: Sequence[str], index: VectorIndex, place: int, column: str
) -> pa.ChunkedArray:
    """The names of one part's rows."""
    part, name = index.parts[place], of_part[place]
    with open_parquet(files, name) as file:
        if column not in file.schema_arrow.names:
            raise SpecError(
                f"{name} of {files.location} has no column {column!r}, it has {file.schema_arrow.names}: set "
                f"{IMAGE_KEY}"
            )
        names = _read(file, part.place if not part.dtype else None, column)
    if len(names) != part.rows:
        raise SpecError(
            f"{name} of {files.location} has {len(names):,} rows, and {part.name} {part.rows:,}: they do not "
            "fit"
        )
    return names


def _read(file: pq.ParquetFile, group: int | None, column: str) -> pa.ChunkedArray:
    try:
        table = file.read([column]) if group is None else file.read_row_group(group, [column])
    except (pa.ArrowException, OSError) as error:
        raise SpecError(f"{column!r} cannot be read: fetch the files of {IMAGE_KEY} again") from error
    return table[column]
