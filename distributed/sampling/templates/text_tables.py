"""Tables of text, as people and their programs write them: CSV, TSV, spaces, JSON lines, Parquet."""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.errors import SpecError

DELIMITERS = {"\t": "tabs", ";": "semicolons", ",": "commas", " ": "spaces"}
"""In the order of trial: names hold spaces and commas more often than tabs."""
LINES_TRIED = 50
SEPARATOR_LINE = re.compile(r"\"?sep=(?P<separator>[^\w\s\"]|\t)\"?(?=\r|\n)", re.IGNORECASE)
"""By which Excel is told what separates the columns of the lines below it."""
JSON_LINES = {".jsonl", ".ndjson"}
NEWLINE = re.compile(r"\r\n|\r|\n")
MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
"""UTF-32 before UTF-16, whose mark its own begins with."""


@dataclass(frozen=True)
class TextTable:
    """columns: names, stripped. rows: fields, stripped, as many as there are columns. lines: of each row, its
    number in the file. notes: how the file was read, where that was inferred."""

    path: Path
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    lines: Sequence[int]
    notes: Sequence[str] = ()

    def column(self, name: str) -> list[str]:
        """Raises SpecError if there is none, with those that there are."""
        place = self.place(name)
        if place is None:
            raise SpecError(f"{self.path} has no column {name!r}, it has {list(self.columns)}")
        return [row[place] for row in self.rows]

    def place(self, name: str) -> int | None:
        """Of a column; capitals count only where two names differ by nothing else."""
        if name in self.columns:
            return self.columns.index(name)
        folded = [column.casefold() for column in self.columns]
        return folded.index(name.casefold()) if folded.count(name.casefold()) == 1 else None


Header = Callable[[Sequence[str]], bool]
"""Whether a first row is a header."""


def read_table(
    path: Path,
    encoding: str | None = None,
    *,
    key: str,
    is_header: Header = lambda row: True,
    columns: Sequence[str] = (),
) -> TextTable:
    """A table. key: of the spec, which names it. encoding: None for UTF-8, or what a byte-order mark says.
    columns: of a file without a header.

    Raises SpecError, one line, for what cannot be read: the line, and what is wrong with it.
    """
    if path.suffix.lower() == ".parquet":
        return _from_parquet(path, key)
    text, notes = _text(path, encoding, key)
    if path.suffix.lower() in JSON_LINES:
        return _from_json(path, text, notes)
    said = SEPARATOR_LINE.match(text)
    text = text if said is None else text[said.end() :]
    lines = [line for line in NEWLINE.split(text) if line.strip()]
    if not lines:
        raise SpecError(f"{path} is empty; give a table with a row for each entry")
    delimiter = _delimiter(lines[:LINES_TRIED]) if said is None else said["separator"]
    if delimiter != ",":
        notes.append(f"its columns are separated by {DELIMITERS.get(delimiter, delimiter)}")
    numbered = _rows(path, text, delimiter)
    first = [field for field in next(numbered)[1]]
    has_header = is_header(first)
    names = first if has_header else list(columns) or first
    if not has_header and len(first) != len(names):
        raise SpecError(f"{path} has no header and {len(first)} columns; it needs {', '.join(columns)}")
    if not has_header:
        notes.append(f"it has no header, so its columns are taken as {' and '.join(names)}")
        numbered = _rows(path, text, delimiter)
    return _table(path, names, numbered, notes)


def _table(
    path: Path, names: Sequence[str], numbered: Iterator[tuple[int, list[str]]], notes: Sequence[str]
) -> TextTable:
    rows, lines = [], []
    for line, row in numbered:
        if len(row) != len(names):
            raise SpecError(f"{path}, line {line}: {len(row)} fields, and the table has {len(names)} columns")
        rows.append(row)
        lines.append(line)
    if len(set(names)) < len(names):
        raise SpecError(f"{path} has a column twice: {list(names)}")
    return TextTable(path, names, rows, lines, notes)


def _text(path: Path, encoding: str | None, key: str) -> tuple[str, list[str]]:
    """What the file says, and how it was decoded."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SpecError(f"cannot read {path}: {error.strerror}; correct {key}") from error
    marked = next((name for mark, name in MARKS.items() if data.startswith(mark)), None)
    chosen = encoding or marked or "utf-8"
    notes = [f"it is {marked.upper()} by its byte-order mark"] if marked in ("utf-16", "utf-32") else []
    try:
        text = data.decode(chosen)
    except UnicodeError as error:
        raise SpecError(_undecodable(path, data, chosen, error)) from error
    if "\0" in text:
        raise SpecError(f"{path} holds NUL characters (UTF-16 without its mark?): save it as UTF-8")
    return text.removeprefix("\ufeff"), notes


def _undecodable(path: Path, data: bytes, encoding: str, error: UnicodeError) -> str:
    if not isinstance(error, UnicodeDecodeError):
        return f"{path} is not {encoding} ({error}): save it as UTF-8"
    line = data.count(b"\n", 0, error.start) + 1
    return (
        f"{path}, line {line}: byte 0x{data[error.start]:02x} is not {encoding.upper()}: save the file as "
        "UTF-8 (it may be Latin-1 or Windows-1252), or, where the source has the key, say its encoding"
    )


def _delimiter(lines: Sequence[str]) -> str:
    """The first by which all lines have the same number of fields, and more than one; commas if none has."""
    for delimiter in DELIMITERS:
        try:
            counts = {len(row) for row in _split(lines, delimiter)}
        except csv.Error:
            continue
        if len(counts) == 1 and counts.pop() > 1:
            return delimiter
    return ","


def _split(lines: Sequence[str], delimiter: str) -> list[list[str]]:
    if delimiter == " ":
        return [line.split() for line in lines]
    return list(csv.reader(lines, delimiter=delimiter, skipinitialspace=True))


def _rows(path: Path, text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Line and fields of each row that is not blank."""
    if delimiter == " ":
        for line, row in enumerate(NEWLINE.split(text), start=1):
            if row.strip():
                yield line, row.split()
        return
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=True
    )
    try:
        for fields in reader:
            if any(field.strip() for field in fields):
                yield reader.line_num, [field.strip() for field in fields]
    except csv.Error as error:
        raise SpecError(f"{path}, line {reader.line_num}: {error}; correct its quotes") from error


def _from_parquet(path: Path, key: str) -> TextTable:
    try:
        schema = pq.read_schema(path)
        simple = [field.name for field in schema if _is_text(field.type)]
        table = pq.read_table(path, columns=simple)
        values = [[_field(value) for value in table[name].to_pylist()] for name in simple]
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise SpecError(f"{path} is no readable Parquet file: fetch it again, or correct {key}") from error
    rows = list(zip(*values, strict=True))
    return TextTable(path, simple, rows, range(1, len(rows) + 1))


def _from_json(path: Path, text: str, notes: Sequence[str]) -> TextTable:
    """An object a line; what is no text, number or truth value in it does not count."""
    entries, lines = [], []
    for line, entry in enumerate(NEWLINE.split(text), start=1):
        if not entry.strip():
            continue
        try:
            value = json.loads(entry)
            json.dumps(value, ensure_ascii=False).encode()
        except (ValueError, RecursionError) as error:
            # A lone surrogate, which JSON can write, is in no text.
            raise SpecError(f"{path}, line {line}: no JSON ({type(error).__name__})") from error
        if not isinstance(value, dict):
            raise SpecError(f"{path}, line {line}: a JSON object is needed, with a key for each column")
        entries.append(value)
        lines.append(line)
    simple = [
        {name: _field(value) for name, value in entry.items() if _is_simple(value)} for entry in entries
    ]
    names = list(dict.fromkeys(name for entry in simple for name in entry))
    if not names:
        raise SpecError(f"{path} is empty; give a table with a row for each entry")
    rows = [[entry.get(name, "") for name in names] for entry in simple]
    return TextTable(path, names, rows, lines, notes)


def _is_simple(value: object) -> bool:
    return value is None or isinstance(value, str | int | float)


def _is_text(kind: pa.DataType) -> bool:
    types = pa.types
    if types.is_dictionary(kind):
        return _is_text(kind.value_type)
    checks = (types.is_string, types.is_large_string, types.is_integer, types.is_boolean, types.is_floating)
    return any(check(kind) for check in checks)


def _field(value: object) -> str:
    return "" if value is None else str(value).strip()
