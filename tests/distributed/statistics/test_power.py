from __future__ import annotations

import numpy as np
import pytest

from distributed.statistics.power import (
    flagging_similarity,
    mated_match_rate,
    presence_power,
    smallest_share,
)


def test_presence_power_is_the_binomial_chance_of_at_least_one() -> None:
    assert presence_power(0.01, 100, 0.5) == pytest.approx(1 - 0.995**100)
    assert presence_power(1e-9, 10**6, 1.0) == pytest.approx(1e-3, rel=1e-3)


@pytest.mark.parametrize("power", [0.5, 0.8, 0.95])
def test_the_smallest_share_has_just_that_power(power: float) -> None:
    share = smallest_share(power, 5000, 0.7)
    assert share is not None and presence_power(share, 5000, 0.7) == pytest.approx(power)
    assert smallest_share(power, 5000, 0.0) is None
    assert smallest_share(0.95, 1, 0.5) is None


def test_who_passes_the_flagging_similarity_is_flagged_alone() -> None:
    cohort = np.arange(399, dtype=np.float64)
    needed = flagging_similarity(cohort, 20, 0.05)
    assert needed == 398.0  # 400 · 0.05 / 20 = 1: above all of the cohort
    assert flagging_similarity(cohort[:398], 20, 0.05) is None
    assert flagging_similarity(cohort, 10, 0.05) == 397.0


def test_mated_match_rates_count_each_person_once() -> None:
    templates = np.array([[1, 0], [1, 0], [0, 1], [1, 0], [1, 0], [1, 0]], dtype=np.float32)
    assert mated_match_rate(templates, np.array([0, 0, 1, 1, 2, 2]), 0.5) == pytest.approx(2 / 3)
    assert mated_match_rate(templates[:2], np.array([0, 1]), 0.5) is None
