"""What files of images or templates are: arrays, Parquet, tar, RecordIO."""

from __future__ import annotations

import tarfile
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from distributed.sampling.images.parquet_images import image_columns
from distributed.sampling.images.recordio import index_beside, record_index
from distributed.sampling.images.tar_members import is_image, split_name
from distributed.sampling.inspected import Inspection, of_file
from distributed.sampling.templates.vectors import Keys, VectorFiles, is_vectors
from schemas.errors import ModelError, SpecError

MEMBERS_LOOKED_AT = 1000
DEFAULT_COLUMN = "image"


def inspect_packed(path: Path, first: Path, kind: str) -> Inspection:
    """first: one of the files in the folder, or below it."""
    what = f"a folder of {first.suffix} files"
    if kind == "parquet" and (vectors := _vector_columns(first)):
        return inspect_templates(what, path, column=vectors[0])
    block = {"kind": kind, "path": str(path)}
    if kind == "parquet" and (column := _image_column(_open(first).schema_arrow)) != DEFAULT_COLUMN:
        block["column"] = column
    return Inspection(what, False, "", block=block)


def _image_column(schema: pa.Schema) -> str:
    images = image_columns(schema)
    return DEFAULT_COLUMN if DEFAULT_COLUMN in images else next(iter(images), schema.names[0])


def inspect_array(path: Path) -> Inspection:
    return inspect_templates("an array", path, of_file(path))


def inspect_templates(what: str, path: Path, digest: str = "", column: str = "template") -> Inspection:
    """Vectors, one a row. Raises ModelError for files that hold others."""
    try:
        index = VectorFiles(str(path), column, Keys("the path", "the column")).index()
    except SpecError as error:
        raise ModelError(str(error)) from error
    facts = [("templates", f"{index.stop:,}"), ("numbers in each", str(index.dimension))]
    block = {"kind": "templates", "path": str(path)}
    block |= {} if index.parts[0].dtype else {"template": column}
    risks = ["nothing tells which recogniser made the templates, nor that they are of faces"]
    return Inspection(f"{what} of templates", False, digest, facts, risks, block, ["recognizer"])


def inspect_parquet(path: Path) -> Inspection:
    file = _open(path)
    facts = [("rows", f"{file.metadata.num_rows:,}"), ("columns", ", ".join(file.schema_arrow.names))]
    if vectors := _vector_columns(path):
        return inspect_templates("a Parquet file", path, of_file(path), vectors[0])
    block = {"kind": "parquet", "path": str(path), "column": _image_column(file.schema_arrow)}
    return Inspection("a Parquet file", False, of_file(path), facts, (), block, ["column"])


def _open(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise ModelError(f"{path} is no whole Parquet file: fetch it again") from error


def _vector_columns(path: Path) -> list[str]:
    """Of a Parquet file without a column `image`: those that have a vector in each row."""
    try:
        schema = pq.read_schema(path)
    except (pa.ArrowException, OSError):
        return []
    if "image" in schema.names:
        return []
    return [field.name for field in schema if is_vectors(field.type)]


def inspect_tar(path: Path) -> Inspection:
    with tarfile.open(path) as tar:
        names = [member.name for member in islice(tar, MEMBERS_LOOKED_AT) if is_image(member.name)]
    suffixes: dict[str, set[str]] = {}
    for key, suffix in map(split_name, names):
        suffixes.setdefault(key, set()).add(suffix)
    block: dict[str, Any] = {"kind": "webdataset", "path": str(path)}
    several = next((sorted(endings, key=len) for endings in suffixes.values() if len(endings) > 1), None)
    if several is None:
        return Inspection("a tar file", False, of_file(path), block=block)
    facts = [("images of one name", ", ".join(several))]
    return Inspection(
        "a tar file", False, of_file(path), facts, block=block | {"member": several[0]}, decide=["member"]
    )


def inspect_recordio(path: Path) -> Inspection:
    index = record_index(*index_beside(str(path), None))
    facts = [("images", f"{len(index.key):,}"), ("labels", f"{len(np.unique(index.label)):,}")]
    block = {"kind": "recordio", "path": str(path)}
    return Inspection("MXNet's RecordIO", False, of_file(path), facts, block=block)
