"""People in an LMDB, written by the lmdb and msgpack packages in the form of HSFace and Vec2Face."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgpack
import pytest

from distributed.gallery.people.adapters import list_source
from distributed.gallery.people.listing import Listing
from distributed.sampling.images import lmdb_images
from distributed.sampling.images.lmdb_images import Entry
from distributed.sampling.images.places import PlaceReader
from schemas.errors import SpecError
from schemas.spec.people.packed import LmdbPeople
from tests.distributed.gallery.people.test_folders import names
from tests.distributed.gallery.people.test_packed import picture

lmdb: Any = pytest.importorskip("lmdb")


def write(path: Path, values: Mapping[str, bytes], *, subdir: bool = False) -> Path:
    with (
        lmdb.open(str(path), subdir=subdir, map_size=1 << 24) as database,
        database.begin(write=True) as writing,
    ):
        for key, value in values.items():
            writing.put(key.encode(), value)
        writing.put(b"__keys__", msgpack.dumps([key.encode() for key in values]))
        writing.put(b"__len__", msgpack.dumps(len(values)))
    return path


def listed(path: Path) -> Listing:
    return list_source(LmdbPeople(kind="lmdb", path=str(path)))


@pytest.mark.parametrize("subdir", [False, True])
def test_images_are_people_by_their_labels(tmp_path: Path, subdir: bool) -> None:
    values = {
        "0": msgpack.dumps((picture(0), 7)),
        "1": msgpack.dumps((picture(1), 8)),
        "2": msgpack.dumps((picture(2), b"feature", 7)),
    }
    listing = listed(write(tmp_path / "hsface.lmdb", values, subdir=subdir))
    assert names(listing) == ["7/0", "8/1", "7/2"] and not listing.notices
    reader = PlaceReader()
    assert [reader.encoded(photo.place) for photo in listing.photos] == [picture(0), picture(1), picture(2)]


@pytest.mark.parametrize(
    "value",
    [pickle.dumps((b"x", 1)), msgpack.dumps(b"x"), msgpack.dumps((b"x", 1.5)), msgpack.dumps(("x", 1)), b""],
)
def test_values_of_another_form_are_not_read(tmp_path: Path, value: bytes) -> None:
    with pytest.raises(SpecError, match="key 0: no image and label packed by msgpack; values of pickle"):
        listed(write(tmp_path / "a.lmdb", {"0": value}))


def test_files_that_cannot_serve_say_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SpecError, match=r"cannot read .*none: No such file"):
        listed(tmp_path / "none")
    (tmp_path / "no.lmdb").write_bytes(b"no lmdb" * 1000)
    with pytest.raises(SpecError, match=r"no\.lmdb is no LMDB"):
        listed(tmp_path / "no.lmdb")
    path = write(tmp_path / "a.lmdb", {})
    with pytest.raises(SpecError, match="holds no images"):
        listed(path)
    with pytest.raises(SpecError, match="has no key 5"):
        PlaceReader().encoded(Entry(str(path), b"5"))
    monkeypatch.setattr(lmdb_images, "find_spec", lambda name: None)
    with pytest.raises(SpecError, match="needs lmdb: pip install lmdb msgpack"):
        listed(path)
