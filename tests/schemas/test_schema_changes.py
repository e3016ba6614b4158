"""A breaking change of a published schema against the last release's; and that the detector finds such."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from schemas.json_schema import WRITTEN_BY_PEOPLE, json_schema
from tests.support.schema_changes import broken_for_readers, broken_for_writers

RELEASED = Path(__file__).resolve().parents[1] / "data" / "schemas-0.2.0"
"""docs/schemas/ of the last release. A release replaces them, and this folder's name."""


@pytest.mark.parametrize("name", sorted(path.stem for path in RELEASED.iterdir()))
def test_nothing_breaks_without_another_version_in_its_id(name: str) -> None:
    released = json.loads((RELEASED / f"{name}.json").read_text(encoding="utf-8"))
    today = json.loads(json_schema(name))
    if today["$id"] != released["$id"]:
        return
    broken = broken_for_writers if name in WRITTEN_BY_PEOPLE else broken_for_readers
    assert broken(released, today) == [], "raise the schema's version, or keep what was promised"


PERSON: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 1},
        "age": {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "null"}]},
        "role": {"enum": ["candidate", "cohort"]},
        "photos": {"type": "array", "items": {"$ref": "#/$defs/Photo"}},
        "source": {"oneOf": [{"$ref": "#/$defs/Folder"}, {"$ref": "#/$defs/Table"}]},
        "sizes": {"type": "object", "additionalProperties": {"type": "number"}},
    },
    "required": ["name", "role"],
    "additionalProperties": False,
    "$defs": {
        "Photo": {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]},
        "Folder": {
            "type": "object",
            "properties": {"kind": {"const": "folder"}, "path": {"type": "string"}},
            "required": ["kind", "path"],
            "additionalProperties": False,
        },
        "Table": {
            "type": "object",
            "properties": {"kind": {"const": "table"}, "column": {"type": ["string", "null"]}},
            "required": ["kind"],
            "additionalProperties": False,
        },
    },
}

Change = Callable[[dict[str, Any]], object]


def properties(schema: dict[str, Any]) -> Any:
    return schema["properties"]


def name_of(schema: dict[str, Any]) -> Any:
    return properties(schema)["name"]


def roles_of(schema: dict[str, Any]) -> Any:
    return properties(schema)["role"]["enum"]


FOR_WRITERS: dict[str, tuple[Change, str]] = {
    "a property removed": (lambda schema: properties(schema).pop("age"), "$.age: removed"),
    "one of a form removed": (
        lambda schema: schema["$defs"]["Table"]["properties"].pop("column"),
        "$.source<table>.column: removed",
    ),
    "a new one required": (
        lambda schema: (properties(schema).update(id={"type": "string"}), schema["required"].append("id")),
        "$.id: required by one alone",
    ),
    "an old one required": (lambda schema: schema["required"].append("age"), "$.age: required by one alone"),
    "null no more": (lambda schema: properties(schema)["age"]["anyOf"].pop(), "$.age: the form null is gone"),
    "null of a list of types no more": (
        lambda schema: schema["$defs"]["Table"]["properties"]["column"].update(type="string"),
        "$.source<table>.column: the form null is gone",
    ),
    "another type": (
        lambda schema: name_of(schema).update(type="integer"),
        "$.name: string refused",
    ),
    "a value removed": (
        lambda schema: roles_of(schema).pop(),
        "$.role: ['cohort'] refused",
    ),
    "a bound": (lambda schema: name_of(schema).update(maxLength=9), "$.name: maxLength 9"),
    "a stricter bound": (
        lambda schema: name_of(schema).update(minLength=2),
        "$.name: minLength 2",
    ),
    "a pattern": (lambda schema: name_of(schema).update(pattern="^a"), "$.name: pattern ^a"),
    "a form removed": (
        lambda schema: properties(schema)["source"]["oneOf"].pop(),
        "$.source: the form table is gone",
    ),
    "within an array": (
        lambda schema: schema["$defs"]["Photo"]["properties"]["path"].update(type="null"),
        "$.photos.items.path: string refused",
    ),
    "values of a map": (
        lambda schema: properties(schema)["sizes"]["additionalProperties"].update(type="integer"),
        "$.sizes.additionalProperties: number refused",
    ),
}
FOR_READERS: dict[str, tuple[Change, str]] = {
    "a property removed": (lambda schema: properties(schema).pop("age"), "$.age: removed"),
    "one that need not be there": (
        lambda schema: schema["required"].remove("name"),
        "$.name: required by one alone",
    ),
    "one that may be null": (
        lambda schema: properties(schema).update(name={"anyOf": [{"type": "string"}, {"type": "null"}]}),
        "$.name: the form null is gone",
    ),
    "a value more": (lambda schema: roles_of(schema).append("x"), "$.role: ['x'] refused"),
    "another type": (
        lambda schema: name_of(schema).update(type="integer"),
        "$.name: integer refused",
    ),
    "a form more": (
        lambda schema: properties(schema)["source"]["oneOf"].append({"type": "string"}),
        "$.source: the form string is gone",
    ),
    "a wider bound": (lambda schema: name_of(schema).update(minLength=0), "$.name: minLength 1"),
}
NOTHING: dict[str, Change] = {
    "nothing": lambda schema: None,
    "a description": lambda schema: name_of(schema).update(description="who"),
    "a property more": lambda schema: properties(schema).update(note={"type": "string"}),
    "a definition renamed": lambda schema: (
        schema["$defs"].update(Shot=schema["$defs"].pop("Photo")),
        properties(schema)["photos"].update(items={"$ref": "#/$defs/Shot"}),
    ),
}


def changed(change: Change) -> dict[str, Any]:
    schema = deepcopy(PERSON)
    change(schema)
    return schema


@pytest.mark.parametrize("name", FOR_WRITERS)
def test_what_breaks_files_that_people_write_is_found(name: str) -> None:
    change, says = FOR_WRITERS[name]
    assert says in broken_for_writers(PERSON, changed(change))


@pytest.mark.parametrize("name", FOR_READERS)
def test_what_breaks_readers_of_files_is_found(name: str) -> None:
    change, says = FOR_READERS[name]
    assert says in broken_for_readers(PERSON, changed(change))


@pytest.mark.parametrize("name", NOTHING)
def test_what_breaks_nothing_is_let_pass(name: str) -> None:
    new = changed(NOTHING[name])
    assert broken_for_writers(PERSON, new) == broken_for_readers(PERSON, new) == []


def test_a_required_property_more_breaks_no_reader() -> None:
    new = changed(
        lambda schema: (properties(schema).update(id={"type": "string"}), schema["required"].append("id"))
    )
    assert broken_for_readers(PERSON, new) == [] != broken_for_writers(PERSON, new)
