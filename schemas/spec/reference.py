"""The spec's reference as Markdown, generated from the models."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, Discriminator, JsonValue
from pydantic.fields import FieldInfo

from schemas.spec.audit import AuditSpec
from schemas.spec.fleet import FleetSpec
from schemas.spec.generators import KINDS
from schemas.spec.people import KINDS as KINDS_OF_PEOPLE

ANY_VALUE = "true | false | whole number | number | text"
HEAD = ("| key | takes | default | what it is |", "|---|---|---|---|")


def spec_reference() -> str:
    """A Markdown table: one row per key of the spec, with what it takes, its default and what it is for."""
    return _table(AuditSpec, "")


def generator_reference() -> str:
    """A Markdown section for each kind of generator."""
    parts = [f"### `{_kind(kind)}`\n\n{_table(kind, 'generator.')}" for kind in KINDS]
    return "\n".join(parts)


def people_reference() -> str:
    """A Markdown section for each kind of source of people."""
    parts = [f"### `{_kind(kind)}`\n\n{_table(kind, 'gallery.candidates.')}" for kind in KINDS_OF_PEOPLE]
    return "\n".join(parts)


def fleet_reference() -> str:
    """A Markdown table: one row per key of a fleet."""
    return _table(FleetSpec, "")


def _kind(model: type[BaseModel]) -> str:
    (kind,) = get_args(model.model_fields["kind"].annotation)
    return str(kind)


def _table(model: type[BaseModel], prefix: str) -> str:
    return "\n".join([*HEAD, *_rows(model, prefix)]) + "\n"


def _rows(model: type[BaseModel], prefix: str) -> Iterator[str]:
    for name, field in model.model_fields.items():
        nested = [] if _is_told_elsewhere(field) else list(_models_of(field.annotation))
        key = f"{prefix}{name}"
        if not nested:
            yield f"| `{key}` | {_takes(field)} | {_default(field)} | {field.description} |"
            continue
        yield f"| `{key}` | {_takes(field)} | {_default(field)} | {field.description} |"
        origin = get_origin(field.annotation)
        many = "[]" if origin is tuple else ".<name>" if origin is dict else ""
        seen: set[str] = set()
        for part in nested:
            for row in _rows(part, f"{key}{many}."):
                if row not in seen:
                    seen.add(row)
                    yield row


def _is_told_elsewhere(field: FieldInfo) -> bool:
    """A field that is one of several kinds, which have a page of their own."""
    parts = get_args(field.annotation) if get_origin(field.annotation) in (Union, UnionType) else ()
    marks = [mark for part in parts for mark in getattr(part, "__metadata__", ())]
    return field.discriminator is not None or any(
        isinstance(mark, Discriminator) or (isinstance(mark, FieldInfo) and mark.discriminator is not None)
        for mark in (*field.metadata, *marks)
    )


def _models_of(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models that a field's type is made of."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif get_origin(annotation) in (Union, UnionType, tuple, Annotated, dict):
        for part in get_args(annotation):
            yield from _models_of(part)


def _takes(field: FieldInfo) -> str:
    return _name_of(field.annotation).replace("|", "\\|")


def _name_of(annotation: Any) -> str:
    origin, parts = get_origin(annotation), get_args(annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "keys below"
    if origin is Literal:
        return " | ".join(f"`{part}`" for part in parts)
    if origin in (Union, UnionType):
        return " | ".join(dict.fromkeys(_name_of(part) for part in parts)).replace(ANY_VALUE, "value")
    if origin is tuple:
        return _tuple_name(parts)
    if origin is dict:
        return f"map of {_name_of(parts[1])}"
    if annotation is JsonValue:
        return "value"
    names = {
        str: "text",
        int: "whole number",
        float: "number",
        bool: "true | false",
        type(None): "null",
        date: "date",
    }
    return names.get(annotation) or _name_of(parts[0] if parts else str)


def _tuple_name(parts: tuple[Any, ...]) -> str:
    if len(parts) == 2 and parts[1] is Ellipsis:
        return f"list of {_name_of(parts[0])}"
    return f"{len(parts)} × {_name_of(parts[0])}"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    if field.default_factory is not None:
        return ""
    return f"`{json.dumps(field.default)}`"
