"""Files, folders and buckets that a spec names: a field says by its type that it is such a name.

`absolute` finds these fields by their type, so that none is forgotten.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

from pydantic import BaseModel

from schemas.file_names import require_file_name
from schemas.spec.secret_names import SECRET

INSIGHTFACE_PREFIX = "insightface:"
REMOTE_SCHEMES = ("s3://", "gs://", "az://")


@dataclass(frozen=True)
class _Mark:
    """How the location stands in the field's text: as it is, or within the name of a secret."""

    in_secret: bool = False


Location = Annotated[str, _Mark()]
"""A file or folder, a bucket address, or `insightface:` with a pack's name."""

SecretLocation = Annotated[str, _Mark(in_secret=True)]
"""The name of a secret, `{env:NAME}` or `{file:PATH}`, whose path is a location."""

ModelT = TypeVar("ModelT", bound=BaseModel)


def is_remote(location: str) -> bool:
    return location.startswith(REMOTE_SCHEMES)


def absolute(model: ModelT, base: Path) -> ModelT:
    """The same, every relative location taken from `base`; addresses and names of packs stay as they are.

    Raises SpecError for a name that cannot be written down, or that this Python cannot open.
    """

    def changed(location: str) -> str:
        if location.startswith(INSIGHTFACE_PREFIX) or is_remote(location):
            return location
        return require_file_name(os.path.normpath(base / location))

    return with_locations(model, changed)


def with_locations(model: ModelT, change: Callable[[str], str]) -> ModelT:
    """The same with `change` of every location, in whatever part of it."""
    update = {}
    for name, field in type(model).model_fields.items():
        value, mark = getattr(model, name), _mark_of(field.annotation, field.metadata)
        new = _changed(value, change) if mark is None else _relocated(value, mark, change)
        if new is not value:
            update[name] = new
    return model.model_copy(update=update) if update else model


def locations_of(model: BaseModel) -> list[str]:
    """Every location that the model names, in the order of its fields."""
    return list(locations_by_key(model).values())


def locations_by_key(model: BaseModel) -> dict[str, str]:
    """Dotted key -> location, of every location that the model names; of a secret, the name of the secret."""
    return dict(_locations(model, ""))


def _locations(part: Any, key: str) -> Iterator[tuple[str, str]]:
    if isinstance(part, BaseModel):
        for name, field in type(part).model_fields.items():
            value, inner = getattr(part, name), f"{key}.{name}" if key else name
            if _mark_of(field.annotation, field.metadata) is None:
                yield from _locations(value, inner)
            elif value:
                yield inner, value
    elif isinstance(part, tuple | dict):
        named = part if isinstance(part, dict) else dict(enumerate(part))
        for place, value in named.items():
            yield from _locations(value, f"{key}.{place}")


def _mark_of(annotation: Any, metadata: Any) -> _Mark | None:
    return next((mark for mark in (*metadata, *_marks(annotation)) if isinstance(mark, _Mark)), None)


def _marks(annotation: Any) -> Iterator[Any]:
    """What the annotations within a union say."""
    yield from getattr(annotation, "__metadata__", ())
    for part in get_args(annotation):
        yield from _marks(part)


def _relocated(value: Any, mark: _Mark, change: Callable[[str], str]) -> Any:
    if value is None or not mark.in_secret:
        return value and change(value)
    named = SECRET.fullmatch(value)
    assert named is not None, "the field's pattern demands it"
    kind, name = named.groups()
    return f"{{file:{change(name)}}}" if kind == "file" else value


def _changed(value: Any, change: Callable[[str], str]) -> Any:
    """A part of a model, or parts, with their locations changed."""
    if isinstance(value, BaseModel):
        return with_locations(value, change)
    if isinstance(value, tuple) and any(isinstance(part, BaseModel) for part in value):
        return tuple(_changed(part, change) for part in value)
    if isinstance(value, dict) and any(isinstance(part, BaseModel) for part in value.values()):
        return {key: _changed(part, change) for key, part in value.items()}
    return value
