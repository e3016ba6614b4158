"""A folder of images and a list: as CelebA, VGGFace2 and databases give them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from distributed.gallery.attributes import digest_attributes, read_attributes
from distributed.gallery.people.adapters import list_source
from distributed.gallery.people.listing import Listing
from schemas.errors import SpecError
from schemas.spec.people.image_list import ListPeople
from tests.distributed.gallery.people.test_folders import names, notices_of, save
from tests.support.people import pseudonym
from tests.support.small_world import SmallWorld


def listed(folder: Path, table: str | Path, **changes: Any) -> Listing:
    path = table if isinstance(table, Path) else folder / "list.csv"
    if isinstance(table, str):
        path.write_text(table, encoding="utf-8")
    return list_source(ListPeople(kind="list", path=str(folder / "images"), list=str(path), **changes))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("000001.jpg", "000002.jpg", "deep/000003.jpg"):
        save(tmp_path / "images" / name)
    return tmp_path


def test_celebas_list(folder: Path) -> None:
    (folder / "identity_CelebA.txt").write_text("000001.jpg 2880\n000002.jpg 2937\n")
    listing = listed(folder, folder / "identity_CelebA.txt")
    assert names(listing) == ["2880/000001.jpg", "2937/000002.jpg"]
    assert notices_of(listing) == {
        "identity_CelebA.txt: its columns are separated by spaces": [],
        "identity_CelebA.txt: it has no header, so its columns are taken as image and identity": [],
        "left out: 1 image that the list does not name": ["deep/000003.jpg"],
    }
    assert [notice.warns for notice in listing.notices] == [False, False, True]


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet"])
def test_a_databases_export_brings_attributes(folder: Path, suffix: str) -> None:
    frame = pd.DataFrame(
        {
            "who": ["Jo", "Jo", "Al"],
            "file": ["000001.jpg", "deep\\000003.jpg", "000002.jpg"],
            "group": ["x", "x", "y"],
            "x": [1, 2, 3],
        }
    )
    path = folder / f"list{suffix}"
    if suffix == ".parquet":
        frame.to_parquet(path)
    else:
        frame.to_csv(path, index=False, sep="\t" if suffix == ".tsv" else ",")
    listing = listed(folder, path, image="file", identity="who")
    assert names(listing) == ["Al/000002.jpg", "Jo/000001.jpg", "Jo/deep/000003.jpg"]
    assert listing.attributes == {"group": {"Jo": "x", "Al": "y"}}
    assert (
        f"list{suffix}: columns x: no attributes of people, as photos of one person differ in them"
        in notices_of(listing)
    )


def test_names_without_a_suffix_as_in_vggface2(folder: Path) -> None:
    listing = listed(folder, "NAME_ID,identity\n000001,n1\ndeep/000003,n1\n000002,n2\n", image="NAME_ID")
    assert names(listing) == ["n1/000001.jpg", "n1/deep/000003.jpg", "n2/000002.jpg"]
    assert list(notices_of(listing)) == ["list.csv: it names images without their suffix, .jpg"]


@pytest.mark.parametrize(
    ("table", "says"),
    [
        (
            "image,identity\n000001.jpg,Jo\n9.jpg,Jo\n",
            "1 of the 2 images .*, such as '9.jpg'",
        ),
        ("image,identity\n../list.csv,Jo\n", "not in the folder, such as '../list.csv'"),
        (
            "file,identity\n000001.jpg,Jo\n",
            r"has no column 'image', it has \['file'.*: set `image`",
        ),
        ("image,who\n000001.jpg,Jo\n", "has no column 'identity'.*set `identity`"),
        ("image,identity\n", "names nobody"),
        ("image,identity\n000001.jpg,Jo\n000002.jpg,\n", "line 3: no identity"),
        ("image,identity\n000001.jpg,Jo\n000001.jpg,Al\n", "line 3: the image '000001.jpg' is another"),
        ("000001.jpg,Jo,x\n", "has no header and 3 columns; it needs image, identity"),
    ],
)
def test_lists_that_cannot_serve_say_why(folder: Path, table: str, says: str) -> None:
    with pytest.raises(SpecError, match=says):
        listed(folder, table)


def test_a_row_that_is_there_twice_is_counted(folder: Path) -> None:
    listing = listed(folder, "image,identity\n000001.jpg,Jo\n000001.jpg,Jo\n")
    assert names(listing) == ["Jo/000001.jpg"]
    assert "1 row of the list say again what another one says" in notices_of(listing)


def test_strata_may_be_columns_of_lists(small_world: SmallWorld) -> None:
    rows = [
        f"{path.parent.name}/{path.name},{path.parent.name},{'ab'[index % 2]}"
        for index, folder in enumerate(sorted((small_world.folder / "candidates").iterdir()))
        for path in sorted(folder.iterdir())
    ]
    (small_world.folder / "list.csv").write_text("\n".join(["image,identity,group", *rows]))
    gallery = {
        "candidates": {"kind": "list", "path": "candidates", "list": "list.csv"},
        "cohort": {"images": "cohort"},
        "detector": False,
    }
    spec = small_world.spec(gallery=gallery, membership={"strata": ["group"]})
    values = read_attributes(spec)["group"]
    assert values[pseudonym("person-000")] == "a" and values[pseudonym("person-001")] == "b"
    before = digest_attributes(spec)
    (small_world.folder / "list.csv").write_text(
        "\n".join(["image,identity,group", *rows]).replace(",a", ",c")
    )
    assert digest_attributes(spec) != before is not None
    with pytest.raises(
        SpecError, match=r"has no column 'age'; membership.strata or adjust needs it; there are: group"
    ):
        read_attributes(small_world.spec(gallery=gallery, membership={"strata": ["age"]}))
