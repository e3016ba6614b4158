"""Photos in one folder, named after their people: LFW's file names."""

from __future__ import annotations

from pathlib import Path

import pytest

from distributed.gallery.people.adapters import list_source
from distributed.gallery.people.listing import Listing
from schemas.errors import SpecError
from schemas.spec.people.folders import FlatPeople
from tests.distributed.gallery.people.test_folders import names, notices_of, save


def listed(root: Path) -> Listing:
    return list_source(FlatPeople(kind="flat", path=str(root)))


def test_the_name_is_all_before_the_number(tmp_path: Path) -> None:
    for name in ("Ada_King_0002.jpg", "Ada_King_0001.jpg", "Jo_1.PNG", "R2_D2_12.webp", "7_0001.png"):
        save(tmp_path / name)
    listing = listed(tmp_path)
    assert names(listing) == [
        "7/7_0001.png",
        "Ada_King/Ada_King_0001.jpg",
        "Ada_King/Ada_King_0002.jpg",
        "Jo/Jo_1.PNG",
        "R2_D2/R2_D2_12.webp",
    ]
    assert not listing.notices


def test_other_names_are_left_out_and_named(tmp_path: Path) -> None:
    for name in ("Ada_1.png", "_1.png", "group.png", "inner/Jo_1.png"):
        save(tmp_path / name)
    (tmp_path / "README.md").write_text("who is who")
    listing = listed(tmp_path)
    assert names(listing) == ["Ada/Ada_1.png"]
    assert notices_of(listing) == {
        "left out: 2 photos whose name does not end in _ and a number": ["_1.png", "group.png"],
        "left out: 1 folder in the folder": ["inner"],
        "left out: 1 file, no image by name or first bytes": ["README.md"],
    }


def test_a_folder_without_such_names_says_which_kinds_there_are(tmp_path: Path) -> None:
    save(tmp_path / "000001.jpg")
    with pytest.raises(SpecError, match=r"no photo that is named after somebody.*kind folders.*kind list"):
        listed(tmp_path)
