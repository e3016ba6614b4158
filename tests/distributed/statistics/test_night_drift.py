from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from distributed.statistics.night_drift import distribution_change, rate_change


def test_a_share_is_compared_as_the_two_sided_test_of_two_proportions_does() -> None:
    """Pearson's χ² of a 2 × 2 table is the square of the pooled z."""
    change = rate_change(180, 200, 480, 600)
    assert change is not None
    pooled = 660 / 800
    z = (0.9 - 0.8) / np.sqrt(pooled * (1 - pooled) * (1 / 200 + 1 / 600))
    assert change.p_value == pytest.approx(2 * norm.sf(z))
    assert (change.before, change.after, change.warns) == (0.9, 0.8, True)


def test_a_change_that_is_certain_but_matters_to_nobody_does_not_warn() -> None:
    change = rate_change(900_000, 1_000_000, 905_000, 1_000_000)
    assert change is not None and change.p_value < 1e-9 and not change.warns


@pytest.mark.parametrize("count", [0, 50])
def test_equal_shares_at_either_end_are_equal(count: int) -> None:
    change = rate_change(count, 50, 2 * count, 100)
    assert change is not None and (change.p_value, change.warns) == (1.0, False)


def test_nothing_is_compared_with_nothing() -> None:
    assert rate_change(1, 2, 0, 0) is None
    assert distribution_change(np.array([]), np.array([1.0])) is None


def test_false_alarms_are_as_rare_as_the_level() -> None:
    random = np.random.default_rng(5)
    alarms = [distribution_change(*random.random((2, 100))) for _ in range(400)]
    assert sum(alarm is not None and alarm.warns for alarm in alarms) <= 12
    moved = distribution_change(random.random(100), random.random(100) ** 2)
    assert moved is not None and moved.warns
