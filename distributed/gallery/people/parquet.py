"""Parquet files of images and identities, as the Hugging Face Hub keeps image datasets."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from distributed.gallery.people.listing import ListedPhoto, Listing, Notice
from distributed.sampling.images.object_files import ObjectFiles
from distributed.sampling.images.parquet_images import open_parquet, require_images
from distributed.sampling.images.places import PARQUET, Cell
from schemas.errors import SpecError
from schemas.spec.people.packed import ParquetPeople

FEATURES = b"huggingface"
"""The key of the schema's metadata under which `datasets` keeps its features."""


def list_people(spec: ParquetPeople) -> Listing:
    """Every row, named `file/row`. Raises SpecError for a row without an identity."""
    files = ObjectFiles(spec.path, PARQUET, "the source's `path`")
    photos: list[ListedPhoto] = []
    classes: list[str] | None = None
    for name in files.names:
        with open_parquet(files, name) as file:
            require_images(f"{name} of {files.location}", file, spec.image, "`image` of this source")
            classes = _class_names(file.schema_arrow, spec.identity)
            people = _identities(files, name, file, spec.identity, classes)
            photos += _photos(spec, name, file, people)
    if not photos:
        raise SpecError(f"{spec.path} holds no rows; give Parquet files of images")
    text = f"identities are named as the classes of {spec.identity!r}, which the files declare"
    return Listing(photos, [] if classes is None else [Notice(text, warns=False)])


def _identities(
    files: ObjectFiles, name: str, file: pq.ParquetFile, column: str, classes: list[str] | None
) -> list[str]:
    if column not in file.schema_arrow.names:
        raise SpecError(
            f"{name} of {files.location} has no column {column!r}, it has {file.schema_arrow.names}: set "
            "`identity` of this source"
        )
    try:
        values = file.read(columns=[column])[column].to_pylist()
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise SpecError(f"{name} of {files.location} is damaged: fetch it again") from error
    return [_identity(value, f"{name}, row {row}", classes) for row, value in enumerate(values)]


def _identity(value: Any, where: str, classes: list[str] | None) -> str:
    if not isinstance(value, str | int) or isinstance(value, bool) or not str(value).strip():
        raise SpecError(f"{where}: {value!r} names no identity; it must be text or a whole number")
    if classes is None or isinstance(value, str):
        return str(value).strip()
    if not 0 <= value < len(classes):
        raise SpecError(f"{where}: {value} is none of the {len(classes):,} classes that the file declares")
    return classes[value]


def _class_names(schema: pa.Schema, column: str) -> list[str] | None:
    """Of a ClassLabel of `datasets`; None if the column is none."""
    try:
        features = json.loads((schema.metadata or {})[FEATURES])["info"]["features"]
        names = features[column]["names"]
    except (KeyError, TypeError, ValueError):
        return None
    return [str(name) for name in names] if isinstance(names, list) else None


def _photos(spec: ParquetPeople, name: str, file: pq.ParquetFile, people: list[str]) -> Iterator[ListedPhoto]:
    row = 0
    for group in range(file.num_row_groups):
        for place in range(file.metadata.row_group(group).num_rows):
            cell = Cell(spec.path, name, spec.image, group, place)
            yield ListedPhoto(people[row], f"{name}/{row}", cell)
            row += 1
