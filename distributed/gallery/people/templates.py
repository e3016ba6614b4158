"""Templates that were made elsewhere, without photos."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from distributed.gallery.people.listed_columns import column_of, require_identities
from distributed.gallery.people.listing import Listing, Notice, chosen_rows, counted, left_out_by_choice
from distributed.sampling.templates.text_tables import read_table
from distributed.sampling.templates.vectors import UNIT, Keys, VectorFiles, Vectors, unit_rows
from schemas.errors import SpecError
from schemas.spec.people.templates import TemplatesPeople


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
    identities = column_of(table, spec.identity, "identity")
    require_identities(table, identities)
    names = (
        list(map(str, range(len(identities))))
        if spec.image is None
        else column_of(table, spec.image, "image")
    )
    keys = list(zip(identities, names, strict=True))
    _require_different(path, keys)
    raw = _vectors(spec)
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


def _vectors(spec: TemplatesPeople) -> Vectors:
    """All rows of the file."""
    files = VectorFiles(spec.path, spec.template, Keys("`path` of this source", "`template` of this source"))
    index = files.index()
    return files.read(index, 0, index.stop)


def _no_photos(rows: int) -> Notice:
    return Notice(
        f"{counted(rows, 'template')} were given without photos: no page can show these people, no photo of "
        "theirs can be checked, and nothing can tell whether the recogniser made them",
    )


def _require_different(path: Path, keys: Sequence[tuple[str, str]]) -> None:
    (key, count), *_ = Counter(keys).most_common(1)
    if count > 1:
        raise SpecError(f"{path} names the photo {key[1]!r} of {key[0]!r} {count:,} times: name each once")


def _unit(path: str, raw: Vectors) -> tuple[Vectors, int]:
    """The rows at unit length, and how many had another."""
    rows, lengths = unit_rows(raw)
    wrong = np.isnan(rows[:, 0])
    if wrong.any():
        raise SpecError(
            f"{path}, row {int(np.argmax(wrong))}: the template is zero or not finite; remove the row"
        )
    return rows, int((np.abs(lengths - 1) > UNIT).sum())
