"""Templates that were made elsewhere, without photos."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from distributed.gallery.people.listed_columns import require_identities
from distributed.gallery.people.listing import Listing, Notice, chosen_rows, counted, left_out_by_choice
from distributed.gallery.text_tables import TextTable, read_table
from schemas.errors import SpecError
from schemas.spec.people.templates import TemplatesPeople

UNIT = 1e-3
"""Lengths that differ from 1 by less are due to rounding, as float16 rounds."""


@dataclass(frozen=True, eq=False)
class ListedTemplates:
    """identities, names: of each row, in order. templates: float32 (n, d), of unit length."""

    identities: Sequence[str]
    names: Sequence[str]
    templates: NDArray[np.float32]
    notices: Sequence[Notice]


def list_people(spec: TemplatesPeople) -> Listing:
    """No photos; what is to be said of the templates. Raises SpecError for templates that cannot serve."""
    return Listing([], read_templates(spec).notices)


def read_templates(spec: TemplatesPeople) -> ListedTemplates:
    """All of them, or at most `spec.at_most` of each person. Raises SpecError, one line."""
    paths = [Path(path) for path in (spec.path, spec.list) if path is not None]
    try:
        stamps = tuple((path.stat().st_size, path.stat().st_mtime_ns) for path in paths)
    except OSError as error:
        raise SpecError(f"cannot read {error.filename}: {error.strerror}; correct the source") from error
    return _read(spec, stamps)


@lru_cache(maxsize=2)
def _read(spec: TemplatesPeople, stamps: tuple[tuple[int, int], ...]) -> ListedTemplates:
    """stamps: so that changed files are read again."""
    path = Path(spec.list or spec.path)
    table = read_table(path, key="the source's `list`" if spec.list else "the source's `path`")
    identities = _column(table, spec.identity, "identity")
    require_identities(table, identities)
    names = (
        list(map(str, range(len(identities)))) if spec.image is None else _column(table, spec.image, "image")
    )
    keys = list(zip(identities, names, strict=True))
    _require_different(path, keys)
    raw = _array(Path(spec.path)) if spec.list else _parquet(Path(spec.path), spec.template)
    if len(raw) != len(keys):
        raise SpecError(f"{spec.path} has {len(raw):,} rows, and {path} {len(keys):,}: they do not fit")
    templates, changed = _unit(spec.path, raw)
    rows = chosen_rows(keys, spec)
    notices = [_no_photos(len(rows)), *left_out_by_choice(len(keys) - len(rows), spec)]
    if changed:
        text = f"{counted(changed, 'template')} of another length than 1 were scaled to it"
        notices.append(Notice(text, warns=False))
    return ListedTemplates(
        [identities[row] for row in rows], [names[row] for row in rows], templates[rows], notices
    )


def _no_photos(rows: int) -> Notice:
    return Notice(
        f"{counted(rows, 'template')} were given without photos: no page can show these people, no photo of "
        "theirs can be checked, and nothing can tell whether the recogniser made them",
    )


def _column(table: TextTable, name: str, key: str) -> list[str]:
    if table.place(name) is None:
        raise SpecError(
            f"{table.path} has no column {name!r}, it has {list(table.columns)}: set `{key}` of this source"
        )
    return table.column(name)


def _require_different(path: Path, keys: Sequence[tuple[str, str]]) -> None:
    (key, count), *_ = Counter(keys).most_common(1)
    if count > 1:
        raise SpecError(f"{path} names the photo {key[1]!r} of {key[0]!r} {count:,} times: name each once")


def _array(path: Path) -> NDArray[np.float32]:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:
        # numpy promises no kinds of errors for damaged headers: SyntaxError and TokenError are among them.
        raise SpecError(f"{path} is no .npy file of numbers: fetch it again, or save it anew") from error
    if not isinstance(array, np.ndarray) or array.ndim != 2 or array.dtype.kind != "f":
        shape = getattr(array, "shape", "several arrays")
        raise SpecError(
            f"{path} holds {shape} of {getattr(array, 'dtype', '?')}: give N × d floating-point numbers"
        )
    return np.asarray(array, np.float32)


def _parquet(path: Path, column: str) -> NDArray[np.float32]:
    try:
        schema = pq.read_schema(path)
        values = pq.read_table(path, columns=[column])[column] if column in schema.names else None
    except (pa.ArrowException, OSError) as error:
        raise SpecError(f"{path} is no readable Parquet file: fetch it again") from error
    if values is None:
        raise SpecError(
            f"{path} has no column {column!r}, it has {schema.names}: set `template` of this source"
        )
    lists = values.combine_chunks()
    is_list = pa.types.is_list(lists.type) or pa.types.is_large_list(lists.type)
    is_fixed = pa.types.is_fixed_size_list(lists.type)
    if not (is_list or is_fixed) or not pa.types.is_floating(lists.type.value_type) or lists.null_count:
        raise SpecError(
            f"{path}: {column!r} holds {lists.type}, not a list of floating-point numbers in each row"
        )
    lengths = np.unique(lists.value_lengths().to_numpy()) if is_list else np.array([lists.type.list_size])
    if len(lengths) != 1:
        raise SpecError(f"{path}: templates of {column!r} have lengths from {lengths[0]} to {lengths[-1]}")
    return np.asarray(lists.flatten().to_numpy(zero_copy_only=False), np.float32).reshape(len(lists), -1)


def _unit(path: str, raw: NDArray[np.float32]) -> tuple[NDArray[np.float32], int]:
    """The rows at unit length, and how many had another."""
    lengths = np.linalg.norm(raw.astype(np.float64), axis=1)
    wrong = ~np.isfinite(lengths) | (lengths == 0)
    if wrong.any():
        raise SpecError(
            f"{path}, row {int(np.argmax(wrong))}: the template is zero or not finite; remove the row"
        )
    return (raw / lengths[:, None]).astype(np.float32), int((np.abs(lengths - 1) > UNIT).sum())
