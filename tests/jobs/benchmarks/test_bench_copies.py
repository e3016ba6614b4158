"""Planted copies: the bench runs on any gallery with photos, and refuses one with too few pairs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from jobs.__main__ import main
from jobs.benchmarks.copies import TREATMENTS, rescaled
from jobs.cli.exit_codes import ExitCode
from tests.jobs.benchmarks.test_bench_reduce import rows_of
from tests.support.small_world import SmallWorld


@pytest.mark.slow
def test_every_treatment_of_a_photo_and_of_another_is_classified(
    small_world: SmallWorld, tmp_path: Path
) -> None:
    output = tmp_path / "copies.md"
    spec = str(small_world.spec_path("copies"))
    assert main(["bench", "copies", spec, "--people", "100", "--output", str(output)]) == ExitCode.OK
    rows = rows_of(output.read_text(encoding="utf-8"))[: 2 * len(TREATMENTS)]
    assert [(row[0], row[1]) for row in rows] == [
        (name, whose) for name in TREATMENTS for whose in ("the photo", "another")
    ]
    assert rows[0][2].startswith("100")
    for row in rows:
        assert sum(float(cell.split()[0]) for cell in row[2:]) == pytest.approx(100)
        assert row[1] == "the photo" or float(row[2].split()[0]) <= 5


def test_a_gallery_with_too_few_pairs_is_refused(
    small_world: SmallWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = str(small_world.spec_path("copies"))
    assert main(["bench", "copies", spec, "--people", "99"]) == ExitCode.BAD_SPEC
    assert "needs 100 people in gallery.cohort with two usable photos, and there are 99" in (
        capsys.readouterr().err
    )


def test_a_treated_photo_keeps_its_shape_and_changes_pixels() -> None:
    image = np.random.default_rng(0).integers(0, 256, (120, 90, 3), np.uint8)
    for name, treated in TREATMENTS.items():
        altered = treated(image)
        assert altered.shape == image.shape and altered.dtype == np.uint8
        assert (altered != image).any() == (name != "as it is")
    assert np.abs(np.diff(rescaled(image).astype(int), axis=1)).mean() < 40  # fine noise is gone
