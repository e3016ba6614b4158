"""YAML that others wrote: plain maps, lists and values, and no more of them than a spec has.

PyYAML's own loaders take the last of two equal keys, expand aliases without end, recurse as deep as a text
says, and raise errors of many kinds; so only its events are used.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, replace
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
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)
from yaml.nodes import ScalarNode
from yaml.resolver import Resolver

from schemas.errors import SpecError
from schemas.printable import shortened

MOST_BYTES = 1 << 20
MOST_COST, CHARACTERS = 50_000, 32
"""Of keys and values in all; one of many characters counts once more for each CHARACTERS of them."""

MOST_DEPTH = 40
LONGEST_NUMBER = 64
LONGEST_TOLD = 300
TEXT = "tag:yaml.org,2002:str"
KNOWN = {TEXT: False} | {f"tag:yaml.org,2002:{kind}": True for kind in ("null", "bool", "int", "float")}
"""Tags of values, and whether PyYAML makes more of them than their text. A date stays text."""

ACTING = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
MERGE = "tag:yaml.org,2002:merge"


RESOLVER = Resolver()


class _RefusedError(Exception):
    """A text that is YAML, and yet none that a person would write as a spec."""

    def __init__(self, event: Event, what: str) -> None:
        line = 0 if event.start_mark is None else event.start_mark.line
        super().__init__(f"line {line + 1} {what}")


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


@dataclass(frozen=True)
class _Value:
    """A value that is whole. cost: of all keys and values in it; height: of the maps and lists in it."""

    content: Any
    cost: int
    height: int = 0


@dataclass
class _Open:
    """A map or a list that is not read to its end yet. key: of a map, the one that waits for its value.

    anchor: its name for aliases, if it has one; before: the cost of all that came before it.
    """

    content: dict[str, Any] | list[Any]
    anchor: str | None
    before: int
    height: int = 1
    key: str | None = None


def parse_yaml(text: str) -> Any:
    """The content of one document; None of an empty one. Raises YAMLError or _RefusedError."""
    document = _Document()
    for event in _plain(yaml.parse(text, Loader=yaml.SafeLoader)):
        if isinstance(event, MappingStartEvent | SequenceStartEvent):
            document.open(event)
        elif isinstance(event, MappingEndEvent | SequenceEndEvent):
            document.close(event)
        elif isinstance(event, ScalarEvent):
            document.scalar(event)
        elif isinstance(event, AliasEvent):
            document.alias(event)
    return document.content


def _plain(events: Iterator[Event]) -> Iterator[Event]:
    """The events of one document, no value of which has a tag."""
    documents = 0
    for event in events:
        documents += isinstance(event, DocumentStartEvent)
        if documents > 1:
            raise _RefusedError(event, "begins another document: give a file with one")
        if (tag := getattr(event, "tag", None)) is not None:
            raise _RefusedError(event, f"has the tag {tag[:40]}: take it away, values have no tags here")
        yield event


class _Document:
    """Puts values together, each alias counting as what it stands for."""

    def __init__(self) -> None:
        self.content: Any = None
        self._opened: list[_Open] = []
        self._anchors: dict[str | None, _Value] = {}
        self._cost = 0

    def open(self, event: MappingStartEvent | SequenceStartEvent) -> None:
        self._spend(event, 1, 1)
        content: dict[str, Any] | list[Any] = {} if isinstance(event, MappingStartEvent) else []
        self._opened.append(_Open(content, event.anchor, self._cost))

    def close(self, event: Event) -> None:
        done = self._opened.pop()
        self._put(event, _Value(done.content, 1 + self._cost - done.before, done.height), done.anchor)

    def scalar(self, event: ScalarEvent) -> None:
        cost = 1 + len(event.value) // CHARACTERS
        self._spend(event, cost, 0)
        if not (self._opened and _takes_key(self._opened[-1], event)):
            self._put(event, _Value(_value(event), cost), event.anchor)

    def alias(self, event: AliasEvent) -> None:
        anchored = self._anchors.get(event.anchor)
        if anchored is None:
            raise _RefusedError(event, f"uses an alias, *{event.anchor}, of nothing that is whole above it")
        self._spend(event, anchored.cost, anchored.height)
        self._put(event, replace(anchored, content=deepcopy(anchored.content)), None)

    def _spend(self, event: Event, cost: int, height: int) -> None:
        self._cost += cost
        if self._cost > MOST_COST:
            raise _RefusedError(event, f"exceeds the {MOST_COST:,} keys and values that a spec may have")
        if len(self._opened) + height > MOST_DEPTH:
            raise _RefusedError(event, f"is nested more than {MOST_DEPTH} deep: a spec is not")

    def _put(self, event: Event, value: _Value, anchor: str | None) -> None:
        if anchor is not None:
            self._anchors[anchor] = value
        if not self._opened:
            self.content = value.content
            return
        inner = self._opened[-1]
        inner.height = max(inner.height, 1 + value.height)
        if isinstance(inner.content, list):
            inner.content.append(value.content)
        elif inner.key is None:
            raise _RefusedError(event, "has a list, a map or an alias as a key: a key is text")
        else:
            inner.content[inner.key], inner.key = value.content, None


def _takes_key(inner: _Open, event: ScalarEvent) -> bool:
    """Whether this is a key, which waits for its value now."""
    if isinstance(inner.content, list) or inner.key is not None:
        return False
    tag, key = _tag(event), event.value
    if tag == MERGE:
        raise _RefusedError(event, "merges by <<: write the keys out")
    if tag != TEXT:
        raise _RefusedError(event, f"has the key {key[:40]!r}, which is no text to YAML: put it in quotes")
    if key in inner.content:
        raise _RefusedError(event, f"has the key {key[:40]!r} again: remove one of the two")
    inner.key = _text(event)
    return True


def _tag(event: ScalarEvent) -> str:
    resolver: Any = RESOLVER
    return str(resolver.resolve(ScalarNode, event.value, event.implicit))


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
    if match := ACTING.search(text):
        raise _RefusedError(event, f"holds the character {match[0]!r}: take it away")
    return text
