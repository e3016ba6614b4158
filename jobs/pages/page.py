"""A page of results: what it is made of, and how it becomes one HTML file that needs no other."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from jobs.cli.statements import Statement, conditions_of

TEMPLATES = Path(__file__).resolve().parent / "templates"
BAD, GOOD, OPEN = "bad", "good", "open"
"""The tone of a verdict: somebody is flagged; nobody was detected; it cannot be said."""


@dataclass(frozen=True)
class Table:
    """Cells as they are shown. The first column names the row."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""


@dataclass(frozen=True)
class Picture:
    """A figure in the page. source: a data URI; caption: what to see in it."""

    title: str
    caption: str
    source: str


@dataclass(frozen=True)
class Face:
    """A photo or a sample. source: a data URI, or None where there is no picture."""

    caption: str
    source: str | None


@dataclass(frozen=True)
class Person:
    """One person's evidence. facts: name and value of each number."""

    name: str
    verdict: str
    facts: Sequence[tuple[str, str]]
    notes: Sequence[str]
    faces: Sequence[Face] = ()


@dataclass(frozen=True)
class Section:
    """A part of the page, in this order: text, people, pictures, tables, preformatted text.

    folded: if not empty, the last two are shown in print, and on a screen under these words when asked for.
    """

    title: str
    text: Sequence[str] = ()
    people: Sequence[Person] = ()
    pictures: Sequence[Picture] = ()
    tables: Sequence[Table] = ()
    preformatted: str = ""
    folded: str = ""


@dataclass(frozen=True)
class Summary:
    """The first screen: the verdict in one sentence, how sure it is, and what could not be concluded.

    audited: what it is about, name and value; terms: words that a reader needs, and what they mean here.
    """

    verdict: str
    tone: str
    counts: str
    certainty: Sequence[Statement]
    open_questions: Sequence[str]
    warning: str
    audited: Sequence[tuple[str, str]] = ()
    terms: Sequence[tuple[str, str]] = ()

    @property
    def conditions(self) -> list[str]:
        """What the statements hold for, each once."""
        return conditions_of(self.certainty)


def render(template: str, **content: Any) -> bytes:
    """Fill a template of TEMPLATES. Every value is escaped; a name that is not given is an error."""
    return _environment().get_template(template).render(**content).encode()


@cache
def _environment() -> Environment:
    return page_environment()


def page_environment() -> Environment:
    """Templates of TEMPLATES, to which filters may be added."""
    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def data_uri(kind: str, data: bytes) -> str:
    """kind: a media type such as `image/png`."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
