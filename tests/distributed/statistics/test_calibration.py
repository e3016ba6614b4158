from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kstest

from distributed.statistics.calibration import (
    benjamini_hochberg,
    cohort_needed,
    cohort_p_values,
    conformal_p_values,
    flaggable_count,
    smallest_p_value,
)

NUMBERS = st.lists(st.integers(-3, 3).map(float), min_size=1, max_size=20)


@given(scores=NUMBERS, cohort=NUMBERS)
def test_p_values_equal_their_definition(scores: list[float], cohort: list[float]) -> None:
    p = conformal_p_values(np.array(scores), np.array(cohort))
    expected = [(1 + sum(other >= s for other in cohort)) / (len(cohort) + 1) for s in scores]
    assert p.tolist() == expected
    assert p.min() >= smallest_p_value(len(cohort))


@given(cohort=NUMBERS)
def test_cohort_p_values_leave_one_out(cohort: list[float]) -> None:
    expected = [
        conformal_p_values(np.array([s]), np.array(cohort[:j] + cohort[j + 1 :]))[0]
        for j, s in enumerate(cohort)
    ]
    assert cohort_p_values(np.array(cohort)).tolist() == expected


def test_a_score_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="not a number"):
        conformal_p_values(np.array([np.nan]), np.array([1.0]))
    with pytest.raises(ValueError, match="not a number"):
        conformal_p_values(np.array([1.0]), np.array([np.nan]))


def test_p_values_are_uniform_where_nobody_is_a_member() -> None:
    random = np.random.default_rng(0)
    p = np.array([conformal_p_values(random.gumbel(size=1), random.gumbel(size=999))[0] for _ in range(4000)])
    # A uniform draw within each step of 1/(n + 1) makes the discrete p-value continuous.
    assert kstest(p - random.random(4000) / 1000, "uniform").pvalue > 0.01


def test_p_values_with_ties_are_not_too_small() -> None:
    random = np.random.default_rng(1)
    p = np.array(
        [conformal_p_values(counts[:1], counts[1:])[0] for counts in random.poisson(0.3, (4000, 100)) * 1.0]
    )
    for level in (0.01, 0.05, 0.3, 0.8):
        assert (p <= level).mean() <= level + 3 * np.sqrt(level * (1 - level) / 4000)


def test_the_false_discovery_rate_holds_in_simulated_worlds() -> None:
    random = np.random.default_rng(2)
    fdr, m, members, worlds = 0.1, 100, 20, 1500
    proportions, powers = np.empty(worlds), np.empty(worlds)
    for j in range(worlds):
        scores = random.standard_normal(m) + np.where(np.arange(m) < members, 3.0, 0.0)
        flagged = benjamini_hochberg(conformal_p_values(scores, random.standard_normal(1000))) <= fdr
        proportions[j] = flagged[members:].sum() / max(1, flagged.sum())
        powers[j] = flagged[:members].mean()
    # Benjamini-Hochberg holds at fdr times the share of non-members, here with equality but for the steps.
    expected = fdr * (m - members) / m
    assert abs(proportions.mean() - expected) < 4 * proportions.std() / np.sqrt(worlds)
    assert powers.mean() > 0.6


@given(p=st.lists(st.floats(0.001, 1), max_size=20))
def test_q_values_equal_their_definition(p: list[float]) -> None:
    ordered = sorted(p)
    expected = [
        min([1.0, *(ordered[j] * len(p) / (j + 1) for j in range(len(p)) if ordered[j] >= value)])
        for value in p
    ]
    np.testing.assert_allclose(benjamini_hochberg(np.array(p)), expected, atol=1e-12)


@given(
    m=st.integers(1, 60), k=st.integers(1, 60), fdr=st.sampled_from([0.01, 0.05, 0.1, 0.07, 0.2, 0.3, 0.9])
)
def test_the_cohort_needed_is_just_enough(m: int, k: int, fdr: float) -> None:
    if k > m:
        with pytest.raises(ValueError, match="cannot plan"):
            cohort_needed(m, k, fdr)
        return
    n = cohort_needed(m, k, fdr)
    assert n >= Fraction(m) / (Fraction(str(fdr)) * k) - 1 > n - 1
    assert flagged_at_the_floor(m, k, n, fdr) == k
    assert flagged_at_the_floor(m, k, n - 1, fdr) == 0
    enough = flaggable_count(m, n, fdr)
    assert enough is not None and enough <= k
    assert (flaggable_count(m, n - 1, fdr) or m + 1) > k


def flagged_at_the_floor(m: int, k: int, n: int, fdr: float) -> int:
    p = np.where(np.arange(m) < k, smallest_p_value(n), 1.0)
    return int((benjamini_hochberg(p) <= fdr).sum())


@given(m=st.integers(1, 40), n=st.integers(0, 3000), fdr=st.sampled_from([0.01, 0.05, 0.1, 0.3]))
def test_the_flaggable_count_equals_a_search(m: int, n: int, fdr: float) -> None:
    enough = [k for k in range(1, m + 1) if flagged_at_the_floor(m, k, n, fdr) >= k]
    assert flaggable_count(m, n, fdr) == (enough[0] if enough else None)
