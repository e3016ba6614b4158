"""Places packed for workers are the same places, whatever their order and kinds."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from distributed.sampling.images.packed_places import PackedPlaces
from distributed.sampling.images.places import Place, Span
from distributed.sampling.images.recordio import Record

PLACES: list[Place] = [
    *(Record("a.rec", 8 * row) for row in range(5)),
    Path("one.jpg"),
    Span("a.tar", 512, 7),
    *(Record("b.rec", row) for row in (2**40, 3)),
    Record("a.rec", 1),
    Path("two.jpg"),
]


def test_they_are_read_as_a_list_also_after_they_crossed_to_a_worker() -> None:
    packed: PackedPlaces = pickle.loads(pickle.dumps(PackedPlaces(PLACES)))
    assert len(packed) == len(PLACES) and list(packed) == PLACES
    assert packed[-1] == PLACES[-1] and packed[-len(PLACES)] == PLACES[0]
    assert packed[3:9] == tuple(PLACES[3:9]) and packed[::-1] == tuple(PLACES[::-1])
    with pytest.raises(IndexError):
        packed[len(PLACES)]


def test_a_million_records_are_their_offsets() -> None:
    packed = PackedPlaces(Record("train.rec", 100 * row) for row in range(1_000_000))
    assert len(pickle.dumps(packed, protocol=5)) < 8_100_000
    assert packed[999_999] == Record("train.rec", 99_999_900)
    assert len(PackedPlaces([])) == 0
