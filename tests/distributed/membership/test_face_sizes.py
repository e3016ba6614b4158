"""The size of faces in pixels: looked at as what may tell candidates from the cohort, where it was kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from distributed.gallery.enrolled import enrolled_gallery, with_face_sizes
from distributed.membership.adjusted import Properties
from distributed.membership.frame import calibration_frame, drifts_of
from jobs.benchmarks.worlds.simulated import RECOGNIZER, Simulator, World, gallery_table, world_spec
from schemas.run.tables import FACE_SIZE_COLUMN, Role

WORLD = World(3, candidates=40, cohort=200, samples=10, photos=(2, 2))


@pytest.fixture
def table() -> pa.Table:
    """Candidates' faces have 60 to 90 pixels, the cohort's 80 to 110."""
    simulator = Simulator(WORLD)
    table = gallery_table(simulator, simulator.draw())
    larger = np.where(pc.equal(table["role"], Role.COHORT).to_numpy(), 20, 0)
    sizes = 60 + larger + np.random.default_rng(0).uniform(0, 30, table.num_rows)
    place = table.schema.get_field_index(FACE_SIZE_COLUMN)
    return table.set_column(place, FACE_SIZE_COLUMN, pa.array(sizes, pa.float32()))


def test_sides_of_unlike_face_sizes_are_warned_of(table: pa.Table, tmp_path: Path) -> None:
    gallery = enrolled_gallery(table, [RECOGNIZER])
    frame = calibration_frame(gallery, world_spec(WORLD, tmp_path).membership, {})
    (of_sizes,) = [drift for drift in drifts_of(frame) if drift.what == "face size"]
    assert (
        of_sizes.warns
        and of_sizes.candidates == pytest.approx(75, abs=2)
        and of_sizes.cohort == pytest.approx(95, abs=2)
    )
    assert "face size" in Properties.of(frame, {}, {}).columns


def test_a_gallery_of_an_earlier_version_has_no_face_sizes(table: pa.Table, tmp_path: Path) -> None:
    earlier = table.drop_columns([FACE_SIZE_COLUMN])
    gallery = enrolled_gallery(earlier, [RECOGNIZER])
    assert np.isnan(gallery.face_size).all()
    frame = calibration_frame(gallery, world_spec(WORLD, tmp_path).membership, {})
    assert "face size" not in {drift.what for drift in drifts_of(frame)}
    assert "face size" not in Properties.of(frame, {}, {}).columns
    assert with_face_sizes(earlier).schema.equals(table.schema)
    assert pa.concat_tables([with_face_sizes(earlier), table]).num_rows == 2 * table.num_rows
