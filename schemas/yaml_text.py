"""YAML that others wrote: plain maps, lists and values, and no more of them than a spec has.

PyYAML's own loaders take the last of two equal keys, expand aliases without end, recurse as deep as a text
says, and raise errors of many kinds; so only its events are used.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from yaml.constructor import SafeConstructor
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)
from yaml.nodes import ScalarNode
from yaml.resolver import Resolver

from schemas.errors import SpecError
from schemas.printable import shortened

MOST_BYTES = 1 << 20
MOST_NODES = 50_000
MOST_DEPTH = 40
LONGEST_NUMBER = 64
LONGEST_TOLD = 300
TEXT = "tag:yaml.org,2002:str"
KNOWN = {TEXT: False} | {f"tag:yaml.org,2002:{one}": True for one in ("null", "bool", "int", "float")}
"""Tags of values, and whether PyYAML makes more of them than their text. A date stays text."""

ACTING = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
MERGE = "tag:yaml.org,2002:merge"


RESOLVER = Resolver()


class _RefusedError(Exception):
    """A text that is YAML, and yet none that a person would write as a spec."""

    def __init__(self, event: Event, what: str) -> None:
        super().__init__(f"line {event.start_mark.line + 1} {what}")


def read_yaml(path: Path, what: str) -> Any:
    """The content of a file that should hold `what`: maps with text as keys, lists, text, numbers, null.

    Raises SpecError for a file that cannot be read, is no YAML, or uses more of YAML than that.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise SpecError(f"{path} has more than {MOST_BYTES:,} bytes: give the YAML file of {what}")
        return parse_yaml(content.decode("utf-8"))
    except _RefusedError as error:
        raise SpecError(f"{path}, {error}") from error
    except yaml.YAMLError as error:
        raise SpecError(f"{path} is not valid YAML: {_short(error)}") from error
    except (OSError, ValueError) as error:
        raise SpecError(
            f"cannot read the spec {path}: {_short(error)}; give the YAML file of {what}"
        ) from error


def _short(error: Exception) -> str:
    return shortened(" ".join(str(error).split()), LONGEST_TOLD)


@dataclass
class _Open:
    """A map or a list that is not read to its end yet. key: of a map, the one that waits for its value."""

    content: dict[str, Any] | list[Any]
    key: str | None = None


def parse_yaml(text: str) -> Any:
    """The content of one document; None of an empty one. Raises YAMLError or _RefusedError."""
    opened: list[_Open] = []
    content: Any = None
    for event in _bounded(yaml.parse(text, Loader=yaml.SafeLoader)):
        if isinstance(event, MappingStartEvent | SequenceStartEvent):
            opened.append(_Open({} if isinstance(event, MappingStartEvent) else []))
            if len(opened) > MOST_DEPTH:
                raise _RefusedError(event, f"is nested more than {MOST_DEPTH} deep: a spec is not")
            continue
        if isinstance(event, MappingEndEvent | SequenceEndEvent):
            value: Any = opened.pop().content
        elif isinstance(event, ScalarEvent):
            if opened and _takes_key(opened[-1], event):
                continue
            value = _value(event)
        else:
            continue
        if opened:
            _put(opened[-1], event, value)
        else:
            content = value
    return content


def _bounded(events: Iterator[Event]) -> Iterator[Event]:
    """The events of one document without aliases and tags."""
    nodes = documents = 0
    for event in events:
        documents += isinstance(event, DocumentStartEvent)
        nodes += isinstance(event, NodeEvent)
        if documents > 1:
            raise _RefusedError(event, "begins another document: give a file with one")
        if nodes > MOST_NODES:
            raise _RefusedError(
                event, f"holds more than the {MOST_NODES:,} keys and values that a spec may have"
            )
        if isinstance(event, AliasEvent):
            raise _RefusedError(event, f"uses the alias *{event.anchor}: write the value out")
        if (tag := getattr(event, "tag", None)) is not None:
            raise _RefusedError(event, f"has the tag {tag}: take it away, values have no tags here")
        yield event


def _takes_key(inner: _Open, event: ScalarEvent) -> bool:
    """Whether this is a key, which waits for its value now."""
    if isinstance(inner.content, list) or inner.key is not None:
        return False
    tag, key = _tag(event), event.value
    if tag == MERGE:
        raise _RefusedError(event, "merges by <<: write the keys out")
    if tag != TEXT:
        raise _RefusedError(
            event, f"has the key {key[:40]!r}, which YAML takes for no text: put it in quotes"
        )
    if key in inner.content:
        raise _RefusedError(event, f"has the key {key[:40]!r} again: remove one of the two")
    inner.key = _text(event)
    return True


def _put(inner: _Open, event: Event, value: Any) -> None:
    if isinstance(inner.content, list):
        inner.content.append(value)
    elif inner.key is None:
        raise _RefusedError(event, "has a list or a map as a key: a key is text")
    else:
        inner.content[inner.key], inner.key = value, None


def _tag(event: ScalarEvent) -> str:
    return str(RESOLVER.resolve(ScalarNode, event.value, event.implicit))


def _value(event: ScalarEvent) -> Any:
    tag = _tag(event)
    if not KNOWN.get(tag, False):
        return _text(event)
    if len(event.value) > LONGEST_NUMBER:
        raise _RefusedError(event, f"has a number of {len(event.value):,} digits: a spec has none so large")
    try:
        return SafeConstructor().construct_object(ScalarNode(tag, event.value))
    except ValueError as error:
        raise _RefusedError(event, f"has {event.value!r}, which is no number: put it in quotes") from error


def _text(event: ScalarEvent) -> str:
    """Text without characters that no name, path or prompt has: they end names early, or act on terminals."""
    text = str(event.value)
    if found := ACTING.search(text):
        raise _RefusedError(event, f"holds the character {found[0]!r}: take it away")
    return text
