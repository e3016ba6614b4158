"""Tables as people and their programs write them."""

from __future__ import annotations

import csv
from pathlib import Path

import pandas as pd
import pytest

from distributed.sampling.templates.text_tables import TextTable, read_table
from schemas.errors import SpecError

ROWS = [["identity", "image"], ["Zoë", "1.jpg"], ["Doe, Jo", "2.jpg"]]


def read(path: Path, encoding: str | None = None) -> TextTable:
    return read_table(path, encoding, key="the key")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize(("delimiter", "name"), [(",", ""), (";", "semicolons"), ("\t", "tabs")])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_encodings_delimiters_and_line_ends(
    tmp_path: Path, encoding: str, delimiter: str, name: str, newline: str
) -> None:
    path = tmp_path / "list.csv"
    with path.open("w", encoding=encoding, newline="") as file:
        csv.writer(file, delimiter=delimiter, lineterminator=newline).writerows(ROWS)
    table = read(path)
    assert [list(table.columns), *map(list, table.rows)] == ROWS and list(table.lines) == [2, 3]
    assert any(name in note for note in table.notes) if name else not table.notes or "mark" in table.notes[0]
    assert any(encoding.upper() in note for note in table.notes) is (encoding in ("utf-16", "utf-32"))


@pytest.mark.parametrize(
    ("said", "delimiter"), [("sep=;", ";"), ('"sep=,"', ","), ("sep=|", "|"), ("sep=\t", "\t")]
)
def test_the_line_by_which_excel_knows_the_delimiter_is_no_header(
    tmp_path: Path, said: str, delimiter: str
) -> None:
    path = tmp_path / "list.csv"
    path.write_text(
        f"\ufeff{said}\r\n" + "\r\n".join(delimiter.join(row) for row in [ROWS[0], ROWS[1]]), newline=""
    )
    table = read(path)
    assert [list(table.columns), *map(list, table.rows)] == ROWS[:2] and list(table.lines) == [3]


def test_pandas_files_are_read(tmp_path: Path) -> None:
    frame = pd.DataFrame({"identity": ["Zoë", None], "image": ["1.jpg", "2.jpg"], "label": [7, 8]})
    frame.to_parquet(tmp_path / "list.parquet")
    frame.to_csv(tmp_path / "list.csv", index=False)
    for name in ("list.parquet", "list.csv"):
        table = read(tmp_path / name)
        assert table.column("identity") == ["Zoë", ""] and table.column("label") == ["7", "8"]


def test_spaces_around_names_and_blank_lines_do_not_count(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text('\n  Identity , image\n\n Jo , "1.jpg"\n , \n"Jo ",2.jpg \n')
    table = read(path)
    assert table.column("identity") == ["Jo", "Jo"] and table.column("image") == ["1.jpg", "2.jpg"]
    assert list(table.lines) == [4, 6]


def test_columns_of_spaces(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_text("000001.jpg 2880\n000002.jpg  2937\n")
    table = read_table(path, key="", is_header=lambda row: False, columns=("image", "identity"))
    assert table.column("identity") == ["2880", "2937"]
    assert table.notes == [
        "its columns are separated by spaces",
        "it has no header, so its columns are taken as image and identity",
    ]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ("a,b\nx,1\ny,Zo\xeb\n".encode("latin-1"), r"line 3: byte 0xeb is not UTF-8: .*Latin-1"),
        ("a,b\nx,1\n".encode("utf-16-le"), "NUL characters"),
        (b"", "is empty"),
        (b"\n \r\n", "is empty"),
        (b"a,b\n1,2\n1,2,3\n", "line 3: 3 fields, and the table has 2 columns"),
        (b'a,b\n1,2\n"1,2\n', r"line 3: unexpected end of data; correct its quotes"),
        (b"a,a\n1,2\n", "has a column twice"),
        (b"\xff\xfea", "is not utf-16"),
    ],
)
def test_what_cannot_be_read_is_told_precisely(tmp_path: Path, data: bytes, says: str) -> None:
    path = tmp_path / "list.csv"
    path.write_bytes(data)
    with pytest.raises(SpecError, match=f"(?i){says}"):
        read(path)


def test_an_encoding_is_obeyed(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_bytes("a,b\nx,Zo\xeb\n".encode("latin-1"))
    assert read(path, "latin-1").column("b") == ["Zoë"]


def test_files_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="No such file or directory; correct the key"):
        read(tmp_path / "none.csv")
    (tmp_path / "bad.parquet").write_bytes(b"PAR1")
    with pytest.raises(SpecError, match="is no readable Parquet file"):
        read(tmp_path / "bad.parquet")
    path = tmp_path / "list.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(SpecError, match=r"has no column 'c', it has \['a', 'b'\]"):
        read(path).column("c")
