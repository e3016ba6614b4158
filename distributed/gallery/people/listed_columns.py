"""What a list of images says of its people."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from distributed.gallery.people.listing import Notice
from distributed.sampling.templates.text_tables import TextTable
from schemas.errors import SpecError


def column_of(table: TextTable, name: str, key: str) -> list[str]:
    """A column. key: of the source, which names it. Raises SpecError if there is none."""
    if table.place(name) is None:
        raise SpecError(
            f"{table.path} has no column {name!r}, it has {list(table.columns)}: set `{key}` of this "
            "source to the column's name"
        )
    return table.column(name)


def require_identities(table: TextTable, people: Sequence[str]) -> None:
    """Raise SpecError for a row without an identity, or if there is no row."""
    if not people:
        raise SpecError(f"{table.path} names nobody: give a row for each image")
    nameless = next((line for line, person in zip(table.lines, people, strict=True) if not person), None)
    if nameless is not None:
        raise SpecError(f"{table.path}, line {nameless}: no identity; name one, or remove the row")


def attributes_of(
    table: TextTable, people: Sequence[str], used: Collection[str]
) -> tuple[dict[str, dict[str, str]], list[Notice]]:
    """Column -> identity -> value, of columns that say one thing of each person; and which do not."""
    places = {table.place(name) for name in used}
    attributes: dict[str, dict[str, str]] = {}
    differing = []
    for place, name in enumerate(table.columns):
        if place in places:
            continue
        values: dict[str, str] = {}
        if all(
            values.setdefault(person, row[place]) == row[place]
            for person, row in zip(people, table.rows, strict=True)
        ):
            attributes[name] = values
        else:
            differing.append(name)
    return attributes, _notices(table, attributes, differing)


def _notices(table: TextTable, attributes: Collection[str], differing: Collection[str]) -> list[Notice]:
    columns = (
        (attributes, "taken as attributes of people"),
        (differing, "no attributes of people, as photos of one person differ in them"),
    )
    return [
        Notice(f"{table.path.name}: columns {', '.join(names)}: {what}", warns=False)
        for names, what in columns
        if names
    ]
