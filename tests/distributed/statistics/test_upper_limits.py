"""Limits whose error rates are known: of drawn counts and of drawn people."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from distributed.statistics.power import (
    people_needed,
    samples_to_rule_out,
    tolerance_limit,
    upper_limits,
)


@pytest.mark.parametrize("rate", [1e-4, 1e-3, 0.02])
def test_an_upper_limit_is_seldom_too_small(rate: float) -> None:
    """Exactly, over all counts."""
    counts = np.arange(2000)
    limits = upper_limits(counts, 4000, 0.05)
    assert binom.pmf(counts, 4000, rate)[limits < rate].sum() <= 0.05
    assert upper_limits(np.array([0]), 4000, 0.05)[0] == pytest.approx(1 - 0.05 ** (1 / 4000))
    assert upper_limits(np.array([7]), 7, 0.05).tolist() == [1.0]


def test_a_tolerance_limit_is_seldom_too_large() -> None:
    random, trials = np.random.default_rng(0), 4000
    true = 0.05 ** (1 / 3)  # 95 % of cube roots of uniform numbers are as large
    limits = [tolerance_limit(random.random(200) ** (1 / 3), 0.95, 0.05) for _ in range(trials)]
    assert None not in limits
    too_large = np.mean([limit is not None and limit > true for limit in limits])
    assert 0.02 < too_large < 0.05 + 2 * np.sqrt(0.05 * 0.95 / trials)


def test_few_people_have_no_tolerance_limit() -> None:
    needed = people_needed(0.95, 0.025)
    assert needed == 72
    assert tolerance_limit(np.ones(needed - 1), 0.95, 0.025) is None
    assert tolerance_limit(np.linspace(0.3, 1, needed), 0.95, 0.025) == 0.3


def test_the_samples_of_a_plan_are_just_enough() -> None:
    needed = samples_to_rule_out(60, 0.001, 0.05)
    nobody = np.array([0])
    assert upper_limits(nobody, needed, 0.05 / 2 / 60)[0] <= 0.001
    assert upper_limits(nobody, needed - 1, 0.05 / 2 / 60)[0] > 0.001
