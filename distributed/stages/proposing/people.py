"""Which kind of source of people a folder or file is, and where the two sides of a gallery lie."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from distributed.sampling.images.decode import IMAGE_SUFFIXES
from distributed.sampling.images.image_files import is_image_file
from distributed.sampling.templates.text_tables import TextTable, read_table
from schemas.errors import SpecError

SIDES = ("candidates", "cohort")
TABLES = (".csv", ".tsv", ".txt", ".jsonl", ".ndjson", ".parquet")
IDENTITIES = ("identity", "person", "person_id", "subject", "name", "celebrity", "class", "label", "id")
"""What columns of identities are called, the clearest first."""
ROWS_TRIED = 20
FEW = 8
"""More folders beside a list are people, and not where its images lie."""

Block = dict[str, Any]


def sides_of(candidates: Path, cohort: Path | None) -> tuple[Path, Path]:
    """The sources of both sides; of one folder, its folders of their names.

    Raises SpecError where only one side can be found: nobody but the auditor knows who is in a cohort.
    """
    if cohort is not None:
        return candidates, cohort
    first, second = (candidates / side for side in SIDES)
    if first.is_dir() and second.is_dir():
        return first, second
    raise SpecError(
        f"give a second source of people, the cohort: people who were certainly not in the training data "
        f"({candidates} has no folders `candidates` and `cohort` in it)"
    )


def people_block(path: Path) -> Block:
    """The source as a spec names it. Raises SpecError for what is of no kind that idleak reads."""
    if not path.exists():
        raise SpecError(f"there is no file or folder {path}: correct the path")
    block = _of_folder(path) if path.is_dir() else _of_file(path)
    if block is None:
        raise SpecError(
            f"{path} is no source of people that idleak knows: give a folder with a folder of photos for "
            "each person, or another kind of docs/people.md"
        )
    return block


def labels_beside(candidates: Path) -> Path | None:
    """A table beside the candidates that says who was in the training data."""
    path = candidates.parent / "labels.csv"
    if not path.is_file():
        return None
    table = read_table(path, key="gallery.labels")
    return path if {"identity", "member"} <= set(table.columns) else None


def _of_file(path: Path) -> Block | None:
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        return _of_parquet(path)
    if suffix in TABLES:
        return _list_of(path, [path.parent])
    kinds = {".rec": "recordio", ".tar": "webdataset", ".lmdb": "lmdb", ".mdb": "lmdb"}
    return {"kind": kinds[suffix], "path": str(path)} if suffix in kinds else None


def _of_parquet(path: Path) -> Block | None:
    try:
        schema = pq.read_schema(path)
    except (pa.ArrowException, OSError) as error:
        raise SpecError(f"{path} is no readable Parquet file: fetch it again") from error
    if {"role", "outcome"} <= set(schema.names):
        return {"parquet": str(path)}
    identity = _identity_column(schema.names)
    if identity is None:
        return _list_of(path, [path.parent])
    if "image" in schema.names:
        return {"kind": "parquet", "path": str(path), "identity": identity}
    vectors = [field.name for field in schema if pa.types.is_list(field.type) or _is_fixed(field.type)]
    if len(vectors) == 1:
        return {"kind": "templates", "path": str(path), "template": vectors[0], "identity": identity}
    return _list_of(path, [path.parent])


def _is_fixed(kind: pa.DataType) -> bool:
    return bool(pa.types.is_fixed_size_list(kind))


def _of_folder(path: Path) -> Block | None:
    entries = sorted(entry for entry in path.iterdir() if not entry.name.startswith("."))
    folders = [entry for entry in entries if entry.is_dir()]
    packed = [entry for entry in entries if entry.suffix == ".rec"]
    if len(packed) == 1:
        return {"kind": "recordio", "path": str(packed[0])}
    if (path / "data.mdb").is_file():
        return {"kind": "lmdb", "path": str(path)}
    files = [entry for entry in entries if entry.is_file()]
    if any(file.suffix == ".tar" for file in files):
        return {"kind": "webdataset", "path": str(path)}
    has_images = any(map(is_image_file, files))
    beside = [file for file in path.parent.iterdir() if file.is_file()] if has_images else []
    tables = [file for file in (*files, *sorted(beside)) if file.suffix.lower() in TABLES]
    listed = next(_lists(tables, [path, *(folders if len(folders) <= FEW else [])]), None)
    if listed is not None:
        return listed
    if any(file.suffix == ".parquet" for file in files):
        return {"kind": "parquet", "path": str(path)}
    if folders:
        return {"images": str(path)}
    return {"kind": "flat", "path": str(path)} if has_images else None


def _lists(tables: Sequence[Path], bases: Sequence[Path]) -> Iterator[Block]:
    for table in tables:
        try:
            block = _list_of(table, bases)
        except SpecError:
            # It is beside the images, and need not be about them.
            continue
        if block is not None:
            yield block


def _list_of(path: Path, bases: Sequence[Path]) -> Block | None:
    """The table as a list of images below one of the folders, if it is one."""
    for base in bases:
        table = read_table(
            path, key="the list", is_header=partial(_is_header, base), columns=("image", "identity")
        )
        image = next((name for name in table.columns if _names_images(table, name, base)), None)
        if image is None:
            continue
        identity = _identity_column([name for name in table.columns if name != image])
        if identity is not None:
            block = {"kind": "list", "path": str(base), "list": str(path)}
            named = {"image": image, "identity": identity}
            return block | {key: name for key, name in named.items() if key != name}
    return None


def _is_header(base: Path, row: Sequence[str]) -> bool:
    return not any(_is_image(base, field) for field in row)


def _names_images(table: TextTable, column: str, base: Path) -> bool:
    values = table.column(column)[:ROWS_TRIED]
    return bool(values) and all(_is_image(base, value) for value in values)


def _is_image(base: Path, name: str) -> bool:
    path = base / name.replace("\\", "/")
    if not name or Path(name).is_absolute():
        return False
    return path.is_file() or any(path.with_name(path.name + suffix).is_file() for suffix in IMAGE_SUFFIXES)


def _identity_column(names: Sequence[str]) -> str | None:
    folded = {name.casefold(): name for name in names}
    known = next((folded[name] for name in IDENTITIES if name in folded), None)
    return known if known is not None or len(names) != 1 else names[0]
