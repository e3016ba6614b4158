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
        ("", "must begin with the line identity,member"),
        ("identity,member\nAda,1\nJo,yes\n", "line 3: member must be 0 or 1, not 'yes'"),
        ("identity,member\nAda\n", "line 2: member must be 0 or 1, not None"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SpecError, match=says):
        read_labels(path, vault())


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"correct gallery\.labels"):
        read_labels(tmp_path / "nowhere.csv", vault())
