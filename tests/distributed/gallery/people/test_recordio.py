"""MXNet's RecordIO, in files that are written after its format."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from distributed.gallery.people.adapters import list_source
from distributed.gallery.people.listing import Listing
from distributed.sampling.images.places import PlaceReader
from distributed.sampling.images.recordio import Record, read_record
from schemas.errors import SpecError
from schemas.spec.people.packed import RecordioPeople
from tests.distributed.gallery.people.test_folders import names, notices_of
from tests.support.recordio import MAGIC, framed, packed, write, write_insightface


def listed(path: Path, **changes: Any) -> Listing:
    return list_source(RecordioPeople(kind="recordio", path=str(path), **changes))


def picture(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize("vector", [False, True])
def test_insightfaces_files_are_people_by_their_labels(tmp_path: Path, vector: bool) -> None:
    photos = {0: [picture(0), picture(1)], 7: [picture(2)], 11: [picture(3)] * 3}
    listing = listed(write_insightface(tmp_path / "train.rec", photos, vector=vector))
    assert names(listing) == ["0/1", "0/2", "7/3", "11/4", "11/5", "11/6"]
    assert list(notices_of(listing)) == ["train.rec: by its record 0, 6 records are images, and 4 are not"]
    encoded = [PlaceReader().encoded(photo.place) for photo in listing.photos]
    assert encoded == [*photos[0], *photos[7], *photos[11]]


def test_a_file_without_a_range_holds_images_alone(tmp_path: Path) -> None:
    records = {0: packed(3.0, picture(0)), 5: packed([4.0, 9.0], picture(1)), 2: packed(3.0, picture(2))}
    listing = listed(write(tmp_path / "a.rec", records))
    assert names(listing) == ["3/0", "3/2", "4/5"] and not listing.notices
    (tmp_path / "a.idx").rename(tmp_path / "other.idx")
    assert listed(tmp_path / "a.rec", index=str(tmp_path / "other.idx")) == listing


@pytest.mark.parametrize(
    "data",
    [b"", b"123", MAGIC, MAGIC * 3, b"1234" + MAGIC + b"56", b"12" + MAGIC + b"34", MAGIC + b"x" + MAGIC],
)
def test_the_magic_number_within_an_image_is_put_back(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.rec"
    path.write_bytes(b"....." + framed(packed([1.0], data)) + framed(b"next"))
    assert read_record(Record(str(path), 5)) == data


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-8])


def no_magic(path: Path) -> None:
    path.write_bytes(b"PAR1" + path.read_bytes()[4:])


def of_another(path: Path) -> None:
    index = path.with_suffix(".idx")
    index.write_text(index.read_text().replace("2\t", "2\t1"))


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (cut, "has no whole record at byte .*: fetch it and its .idx again"),
        (no_magic, "has no whole record at byte 0"),
        (of_another, "has no whole record at byte"),
        (lambda path: path.write_bytes(b""), "has no whole record"),
        (lambda path: path.with_suffix(".idx").write_text("1 2 3\n"), "is no .idx"),
        (lambda path: path.with_suffix(".idx").write_text("a\tb\n"), "is no .idx"),
        (lambda path: path.with_suffix(".idx").write_text(""), "is no .idx"),
        (lambda path: path.with_suffix(".idx").write_bytes(b"\xff\xfe\0"), "is no .idx"),
        (lambda path: path.with_suffix(".idx").unlink(), "a .rec needs its .idx beside it"),
        (lambda path: path.unlink(), "cannot read .*train.rec: No such file"),
    ],
)
def test_files_that_do_not_fit_say_so(tmp_path: Path, damage: Any, says: str) -> None:
    path = write_insightface(tmp_path / "train.rec", {1: [picture(0)], 2: [picture(1)]})
    damage(path)
    with pytest.raises(SpecError, match=says):
        listed(path)


def test_a_record_that_is_cut_later_is_no_image(tmp_path: Path) -> None:
    path = write(tmp_path / "a.rec", {0: packed(1.0, picture(0))})
    (photo,) = listed(path).photos
    cut(path)
    with pytest.raises(SpecError, match="has no whole record at byte 0"):
        PlaceReader().encoded(photo.place)


@pytest.mark.parametrize("label", [0.5, float("nan"), float("inf")])
def test_a_label_that_names_nobody_is_refused(tmp_path: Path, label: float) -> None:
    path = write(tmp_path / "a.rec", {0: packed(1.0, picture(0)), 3: packed(label, picture(1))})
    with pytest.raises(SpecError, match=r"record 3 has the label .*, which names nobody"):
        listed(path)
