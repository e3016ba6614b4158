"""Which kind of source of people a folder or file is, and where the two sides of a gallery lie."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from distributed.sampling.images.decode import IMAGE_SUFFIXES
from distributed.sampling.images.image_files import is_image_file
from distributed.sampling.templates.text_tables import TextTable, read_table
from distributed.stages.proposing.columns import identity_column
from distributed.stages.proposing.packed_people import parquet_block, tar_block
from schemas.errors import SpecError

SIDES = ("candidates", "cohort")
TABLES = (".csv", ".tsv", ".txt", ".jsonl", ".ndjson", ".parquet")
ENCODINGS = (None, "cp1252")
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
    """A table beside the candidates that says who was in the training data, and who was not."""
    path = candidates.parent / "labels.csv"
    if not path.is_file():
        return None
    table = read_table(path, key="gallery.labels")
    has_both = {"identity", "member"} <= set(table.columns) and len(set(table.column("member"))) > 1
    return path if has_both else None


def _of_file(path: Path) -> Block | None:
    suffix = path.suffix.lower()
    if suffix == ".parquet" and (block := parquet_block(path)) is not None:
        return block
    if suffix in TABLES:
        return _list_of(path, [path.parent, *_few_folders(path.parent)])
    if suffix == ".tar":
        return tar_block(path)
    kinds = {".rec": "recordio", ".lmdb": "lmdb", ".mdb": "lmdb"}
    return {"kind": kinds[suffix], "path": str(path)} if suffix in kinds else None


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
        return tar_block(path)
    has_images = any(map(is_image_file, files))
    beside = [file for file in path.parent.iterdir() if file.is_file()] if has_images else []
    tables = [file for file in (*files, *sorted(beside)) if file.suffix.lower() in TABLES]
    listed, unfit = _listed(tables, [path, *_few_folders(path)])
    if listed is not None:
        return listed
    if any(file.suffix == ".parquet" for file in files):
        return parquet_block(path)
    if folders:
        return (
            {"images": str(path)}
            if has_images or len(folders) > 1
            else _of_one_folder(path, folders[0], unfit)
        )
    return {"kind": "flat", "path": str(path)} if has_images else None


def _of_one_folder(path: Path, inner: Path, unfit: Sequence[str]) -> Block:
    """The people may lie one folder deeper, as archives are unpacked; else they are one person.

    unfit: why tables beside the folder are no list of its images. Raises SpecError if there are any: then its
    images are of many people.
    """
    block = _of_folder(inner)
    if block is not None and block.get("kind") != "flat":
        return block
    if unfit:
        raise SpecError(
            f"{path} has one folder of images, and no list of them: {'; '.join(unfit)}; write gallery by "
            "hand (docs/people.md)"
        )
    return {"images": str(path)}


def _few_folders(path: Path) -> list[Path]:
    folders = sorted(entry for entry in path.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    return folders if len(folders) <= FEW else []


def _listed(tables: Sequence[Path], bases: Sequence[Path]) -> tuple[Block | None, list[str]]:
    """The first table that lists images below one of the folders, and why those before it do not."""
    unfit = []
    for table in tables:
        try:
            block = _list_of(table, bases)
        except SpecError as error:
            # It is beside the images, and need not be about them.
            unfit.append(str(error))
            continue
        if block is not None:
            return block, unfit
        unfit.append(f"no two columns of {table.name} name images that are there, and their people")
    return None, unfit


def _list_of(path: Path, bases: Sequence[Path]) -> Block | None:
    """The table as a list of images below one of the folders, if it is one. Raises SpecError as `_table`."""
    for base in bases:
        table, encoding = _table(path, base)
        image = next((name for name in table.columns if _names_images(table, name, base)), None)
        if image is None:
            continue
        identity = identity_column([name for name in table.columns if name != image])
        if identity is not None:
            block = {"kind": "list", "path": str(base), "list": str(path)}
            named = {"image": image, "identity": identity}
            block |= {key: name for key, name in named.items() if key != name}
            return block | ({} if encoding is None else {"encoding": encoding})
    return None


def _table(path: Path, base: Path) -> tuple[TextTable, str | None]:
    """The table, and its encoding where that must be said. Raises SpecError for what is no table."""
    problems = []
    for encoding in ENCODINGS:
        try:
            header, columns = partial(_is_header, base), ("image", "identity")
            return read_table(path, encoding, key="the list", is_header=header, columns=columns), encoding
        except SpecError as error:
            problems.append(error)
    raise problems[0]


def _is_header(base: Path, row: Sequence[str]) -> bool:
    return not any(_is_image(base, field) for field in row)


def _names_images(table: TextTable, column: str, base: Path) -> bool:
    values = table.column(column)[:ROWS_TRIED]
    return bool(values) and all(_is_image(base, value) for value in values)


def _is_image(base: Path, name: str) -> bool:
    path = base / name.replace("\\", "/")
    if not name or not path.is_relative_to(base):
        return False
    return path.is_file() or any(path.with_name(path.name + suffix).is_file() for suffix in IMAGE_SUFFIXES)
