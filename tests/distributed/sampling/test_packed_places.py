"""Places packed for workers are the same places, whatever their order and kinds."""

from __future__ import annotations

import hashlib
import pickle
from pathlib import Path

import pytest

from distributed.sampling.images.lmdb_images import Entry
from distributed.sampling.images.packed_places import Digests, PackedPlaces, Texts
from distributed.sampling.images.places import Cell, Part, Place, Span
from distributed.sampling.images.recordio import Record

PLACES: list[Place] = [
    *(Record("a.rec", 8 * row) for row in range(5)),
    Path("one.jpg"),
    Span("a.tar", 512, 7),
    *(Record("b.rec", row) for row in (2**40, 3)),
    Record("a.rec", 1),
    Path("two.jpg"),
    *(Path(f"/photos/{folder}/{name}.png") for folder in ("ada", "bob") for name in range(2)),
    Path("/root.png"),
    Path("ada/caf\udce9.png"),
    *(Part("s3://bucket", tar, 512, size) for tar in ("a.tar", "b.tar") for size in (3, 4)),
    *(Cell("folder", "a.parquet", column, 1, row) for column in ("image", "photo") for row in range(2)),
    Entry("a.lmdb", b"key"),
    Span("a.tar", 1, 2),
]


def test_they_are_read_as_a_list_also_after_they_crossed_to_a_worker() -> None:
    packed: PackedPlaces = pickle.loads(pickle.dumps(PackedPlaces(PLACES)))
    assert len(packed) == len(PLACES) and list(packed) == PLACES
    assert packed[-1] == PLACES[-1] and packed[-len(PLACES)] == PLACES[0]
    assert packed[3:9] == tuple(PLACES[3:9]) and packed[::-1] == tuple(PLACES[::-1])
    with pytest.raises(IndexError):
        packed[len(PLACES)]


def test_many_records_are_their_offsets() -> None:
    packed = PackedPlaces(Record("train.rec", 100 * row) for row in range(200_000))
    assert len(pickle.dumps(packed, protocol=5)) < 1_620_000
    assert packed[199_999] == Record("train.rec", 19_999_900)
    assert len(PackedPlaces([])) == 0


def test_texts_of_any_characters_come_back() -> None:
    texts = ["", "ada", "J\u00fcrgen", "\U0001f600", "caf\udce9", "\ud800", ""]
    packed = Texts(texts)
    assert list(packed) == texts and packed[-2] == "\ud800" and packed[1:3] == ("ada", "J\u00fcrgen")
    with pytest.raises(IndexError):
        packed[len(texts)]


def test_digests_come_back_and_repeated_ones_are_told() -> None:
    digests = [hashlib.sha256(str(row % 7).encode()).hexdigest() for row in range(10)]
    packed = Digests(digests)
    assert list(packed) == digests and packed[-1] == digests[-1] and packed[2:4] == tuple(digests[2:4])
    assert packed.may_be_repeated().tolist() == [0, 1, 2, 7, 8, 9]
    assert len(Digests()) == 0 and Digests().may_be_repeated().tolist() == []


def test_a_photo_in_a_folder_is_its_name_and_little_more() -> None:
    packed = PackedPlaces(Path(f"/data/gallery/n{row // 50:06d}/{row:08d}.png") for row in range(20_000))
    assert len(pickle.dumps(packed, protocol=5)) < 30 * len(packed)
