from __future__ import annotations

from pathlib import Path

import pytest

from distributed.gallery.labels import read_labels
from schemas.errors import SpecError
from tests.support.people import pseudonym, vault


def test_labels_are_read(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text('identity,member\nAda,1\n"Doe, Jo",0\n', encoding="utf-8")
    assert read_labels(path, vault()) == {pseudonym("Ada"): True, pseudonym("Doe, Jo"): False}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("name,member\nAda,1\n", "must begin with the line identity,member"),
        ("", "is empty; give a table"),
        (
            "identity,member\nAda,1\nJo,perhaps\n",
            "line 3: member must be 0 or 1.*, not 'perhaps'",
        ),
        ("identity,member\nAda\n", "line 2: 1 fields, and the table has 2 columns"),
        ("identity,member\nAda,1\nAda,no\n", "line 3: says another thing of a person"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SpecError, match=says):
        read_labels(path, vault())


def test_what_programs_of_tables_write_is_read(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_bytes("\ufeffmember;Identity;note\r\n Yes ; Ada ;x\r\n\r\nFALSE;Doe, Jo;y\r\n".encode())
    assert read_labels(path, vault()) == {pseudonym("Ada"): True, pseudonym("Doe, Jo"): False}


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"correct gallery\.labels"):
        read_labels(tmp_path / "nowhere.csv", vault())
