"""What a plan says that an audit takes, held against what an audit of so many samples could say."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from distributed.stages.planning.power_forecast import forecast_rows, samples_needed
from distributed.statistics.power import Power
from jobs.benchmarks.worlds.simulated import World, world_spec
from schemas.run.tables import Role

PEOPLE = {
    Role.CANDIDATE: Counter({f"candidate{index}": 2 for index in range(40)}),
    Role.COHORT: Counter({f"cohort{index}": 2 for index in range(800)}),
}


@pytest.mark.parametrize("share", [1.0, 0.3, 0.01, 1e-4])
def test_the_fewest_samples_that_can_clear_anybody(share: float) -> None:
    needed = samples_needed(share)
    assert Power.by_one(needed, 1.0).at(share) >= 0.95
    assert needed == 1 or Power.by_one(needed - 1, 1.0).at(share) < 0.95


@pytest.mark.parametrize(("samples", "enough"), [(29_955, False), (29_956, True)])
def test_a_plan_says_what_the_wanted_share_takes(tmp_path: Path, samples: int, enough: bool) -> None:
    spec = world_spec(World(1, samples=samples), tmp_path, detect=1e-4)
    rows = dict(forecast_rows(spec, PEOPLE))
    assert "in 100 of a million (membership.detect): at least 29,956 samples" in rows["not detected"]
    assert ("NOT ENOUGH samples" in rows["not detected"]) is not enough
    # ln(2 · 40 / 0.05) · 10,000
    assert "takes 73,774 samples at least" in rows["to rule out"]
    assert "72 of the cohort with two photos" in rows["to rule out"]
