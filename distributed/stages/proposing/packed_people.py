"""Blocks of a spec for people in tar and Parquet files, by a look at the first of them."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from distributed.gallery.people.webdataset import FOLDER
from distributed.sampling.images.parquet_images import image_columns
from distributed.sampling.images.tar_members import is_image, split_name
from distributed.stages.proposing.columns import identity_column
from schemas.errors import SpecError

MEMBERS_LOOKED_AT = 1000
LABELS = ("cls", "txt", "id", "label", "identity")
"""Suffixes of members that name an identity, the first one being the default."""

Block = dict[str, Any]


def parquet_block(path: Path) -> Block | None:
    """People, templates of them, or an enrolled gallery; None for a table of another kind. path: a file, or a
    folder of them. Raises SpecError for a file that is none."""
    schema = _schema(path if path.is_file() else min(path.glob("*.parquet")))
    if {"role", "outcome"} <= set(schema.names):
        return {"parquet": str(path)}
    images = image_columns(schema)
    vectors = [field.name for field in schema if pa.types.is_list(field.type) or _is_fixed(field.type)]
    identity = identity_column([field.name for field in schema if _names_somebody(field.type)])
    if identity is None:
        return None
    if images:
        block = {"kind": "parquet", "path": str(path), "identity": identity}
        return block | ({} if "image" in images else {"image": images[0]})
    if len(vectors) == 1:
        return {"kind": "templates", "path": str(path), "template": vectors[0], "identity": identity}
    return None


def _schema(path: Path) -> pa.Schema:
    try:
        return pq.read_schema(path)
    except (pa.ArrowException, OSError) as error:
        raise SpecError(f"{path} is no readable Parquet file: fetch it again") from error


def _is_fixed(kind: pa.DataType) -> bool:
    return bool(pa.types.is_fixed_size_list(kind))


def _names_somebody(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_integer(kind))


def tar_block(path: Path) -> Block:
    """path: a tar, or a folder of them. Raises SpecError for a first file that is none."""
    first = path if path.is_file() else min(path.glob("*.tar"))
    try:
        # A compressed one is refused, with what to do, where it is listed.
        with tarfile.open(first) as tar:
            return {"kind": "webdataset", "path": str(path)} | _identity(tar)
    except (tarfile.TarError, OSError, EOFError) as error:
        raise SpecError(f"{first} is no whole tar file ({error}): fetch it again") from error


def _identity(tar: tarfile.TarFile) -> Block:
    """How the tar names identities, where that is not by the default."""
    members = list(islice(_files(tar), MEMBERS_LOOKED_AT))
    by_suffix = {split_name(member.name)[1]: member for member in reversed(members)}
    suffix = next((label for label in LABELS if label in by_suffix), None)
    if suffix is not None:
        return {} if suffix == LABELS[0] else {"identity": suffix}
    if "json" in by_suffix and (field := _field(tar, by_suffix["json"])) is not None:
        return {"identity": "json", "field": field}
    images = [member.name for member in members if is_image(member.name)]
    is_sorted = bool(images) and all("/" in name.removeprefix("./") for name in images)
    return {"identity": FOLDER} if is_sorted else {}


def _files(tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    return (member for member in tar if member.isreg() and not Path(member.name).name.startswith("."))


def _field(tar: tarfile.TarFile, member: tarfile.TarInfo) -> str | None:
    """The key of a member in JSON that names an identity."""
    file = tar.extractfile(member)
    try:
        held = json.loads(b"" if file is None else file.read())
    except (ValueError, RecursionError):
        return None
    if not isinstance(held, dict):
        return None
    return identity_column([key for key, value in held.items() if isinstance(value, str | int)])
