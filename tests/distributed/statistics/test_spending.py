from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distributed.statistics.calibration import benjamini_hochberg, cohort_needed, conformal_p_values
from distributed.statistics.similarity import Floats
from distributed.statistics.spending import e_benjamini_hochberg, night_e_values, night_level, night_weight

ALPHA = 0.05


def flagged_on(p_of_night: list[Floats], *, constant: bool = False) -> list[int | None]:
    """The night on which the ledger first flags each candidate."""
    total = np.zeros(len(p_of_night[0]))
    nights: list[int | None] = [None] * len(total)
    for t, p in enumerate(p_of_night, start=1):
        total += night_weight(t) * night_e_values(p, ALPHA, 1 if constant else t)
        flags = e_benjamini_hochberg(total, ALPHA)
        nights = [t if night is None and flag else night for night, flag in zip(nights, flags, strict=True)]
    return nights


def test_the_shares_of_all_nights_sum_to_one() -> None:
    shares = [Fraction(1, t * (t + 1)) for t in range(1, 1001)]
    assert [night_weight(t) for t in range(1, 1001)] == [float(share) for share in shares]
    assert sum(shares) == 1 - Fraction(1, 1001)


@given(e=st.lists(st.sampled_from([0.0, 0.5, 1.0, 5.0, 10.0, 20.0, 40.0, 61.0, 80.0, 160.0]), max_size=12))
def test_e_benjamini_hochberg_equals_its_definition(e: list[float]) -> None:
    def bound(k: int) -> Fraction:
        return len(e) / (Fraction(1, 20) * k)

    passing = [k for k in range(1, len(e) + 1) if sum(value >= bound(k) for value in e) >= k]
    expected = [bool(passing) and value >= bound(max(passing)) for value in e]
    assert e_benjamini_hochberg(np.array(e), ALPHA).tolist() == expected


@given(steps=st.lists(st.integers(1, 60), min_size=1, max_size=30), alpha=st.sampled_from([0.05, 0.1, 0.3]))
def test_the_first_night_flags_as_benjamini_hochberg_at_half_the_level(
    steps: list[int], alpha: float
) -> None:
    p = np.array(steps) / 600
    sums = night_weight(1) * night_e_values(p, alpha)
    expected = benjamini_hochberg(p) <= np.round(alpha / 2, 12)
    assert e_benjamini_hochberg(sums, alpha).tolist() == expected.tolist()


def test_a_leaked_person_is_flagged_on_the_first_night_if_the_cohort_is_large_enough() -> None:
    random = np.random.default_rng(0)
    n = cohort_needed(40, 1, night_level(1, ALPHA))
    assert n == 1599
    for cohort, night in ((n, 1), (n - 1, None)):
        scores, others = np.zeros(40), random.random(cohort)
        scores[7] = 2.0
        nights = flagged_on([conformal_p_values(scores, others)] * 3)
        assert nights[7] == night
        assert nights[:7] + nights[8:] == [None] * 39


@pytest.mark.parametrize(("start", "night"), [(1, 1), (2, 4), (3, 7), (10, 26)])
def test_who_leaks_later_is_flagged_before_long(start: int, night: int) -> None:
    assert sum(Fraction(1, t) for t in range(start, night + 1)) >= 1
    assert sum(Fraction(1, t) for t in range(start, night)) < 1
    nights = [np.array([1e-9 if t >= start else 0.9, 0.5, 1.0]) for t in range(1, 40)]
    assert flagged_on(nights) == [night, None, None]
    if start > 1:
        assert flagged_on(nights, constant=True) == [None, None, None]


def test_a_ledger_of_shares_needs_no_fixed_gallery() -> None:
    # Ten people leave after the first night, thirty come; two leaked ones, one of them gone.
    first, second = np.full(20, 0.7), np.full(40, 0.7)
    first[[0, 15]], second[[0, 30]] = 1e-9, 1e-9
    sums = np.zeros(50)
    sums[:20] += night_weight(1) * night_e_values(first, ALPHA, 1) / 20
    assert np.flatnonzero(e_benjamini_hochberg(50 * sums, ALPHA)).tolist() == [0, 15]
    present = np.r_[:10, 20:50]
    for t in range(2, 6):
        sums[present] += night_weight(t) * night_e_values(second, ALPHA, t) / 40
    assert np.flatnonzero(e_benjamini_hochberg(50 * sums, ALPHA)).tolist() == [0, 15, 40]


def test_e_values_are_compound() -> None:
    random = np.random.default_rng(1)
    m, members, worlds = 40, 10, 3000
    sums = np.empty(worlds)
    for j in range(worlds):
        scores = random.standard_normal(m) + np.where(np.arange(m) < members, 3.0, 0.0)
        sums[j] = night_e_values(conformal_p_values(scores, random.standard_normal(799)), 0.4)[members:].sum()
    error = sums.std() / np.sqrt(worlds)
    # The expectation is the number of non-members but for the steps of the p-values, and so at most m.
    assert abs(sums.mean() - (m - members)) < 4 * error
    assert sums.mean() + 3 * error < m


def top_p_values(scores: Floats, cohort: Floats) -> Floats:
    """Conformal p-values of nights × m scores by nights × n of a cohort; all above 100/(n + 1) are 1."""
    top = np.partition(cohort, -100, axis=1)[:, -100:]
    night, candidate = np.nonzero(scores > top.min(axis=1)[:, None])
    p = np.ones(scores.shape)
    above = (top[night] >= scores[night, candidate][:, None]).sum(axis=1)
    p[night, candidate] = (1 + above) / (cohort.shape[1] + 1)
    return p


@pytest.mark.parametrize(
    ("m", "alpha", "noise"),
    [
        pytest.param(40, 0.05, 0.3, marks=pytest.mark.slow),
        (10, 0.05, 0.3),
        pytest.param(4, 0.1, 3.0, marks=pytest.mark.slow),  # nights that hardly depend on one another
    ],
)
def test_a_year_of_nights_with_the_same_people_stays_within_the_budget(
    m: int, alpha: float, noise: float
) -> None:
    random = np.random.default_rng(m)
    worlds, nights, n = 400, 365, 800
    ledger, nightly = np.zeros(worlds, dtype=np.bool_), np.zeros(worlds, dtype=np.bool_)
    for world in range(worlds):
        person = random.standard_normal(m + n, dtype=np.float32)
        scores = person + np.float32(noise) * random.standard_normal((nights, m + n), dtype=np.float32)
        p, sums = top_p_values(scores[:, :m], scores[:, m:]), np.zeros(m)
        some = (np.sort(p, axis=1) <= alpha * np.arange(1, m + 1) / m + 1e-9).any(axis=1)
        for night in np.flatnonzero(some):
            t = int(night) + 1
            sums += night_weight(t) * night_e_values(p[night], alpha, t)
            nightly[world] |= (benjamini_hochberg(p[night]) <= alpha).any()
        ledger[world] = e_benjamini_hochberg(sums, alpha).any()
    error = 3 * np.sqrt(alpha * (1 - alpha) / worlds)
    assert ledger.mean() <= alpha + error
    assert nightly.mean() > alpha + 2 * error


def test_the_largest_false_discovery_proportion_of_all_nights_stays_within_the_budget() -> None:
    random = np.random.default_rng(5)
    worlds, nights, m, members, n, alpha = 200, 40, 30, 6, 800, 0.2
    largest, power = np.empty(worlds), np.empty(worlds)
    for world in range(worlds):
        person = random.standard_normal(m + n) + np.where(np.arange(m + n) < members, 3.0, 0.0)
        scores = person + 0.3 * random.standard_normal((nights, m + n))
        p, sums, proportions = top_p_values(scores[:, :m], scores[:, m:]), np.zeros(m), [0.0]
        before = np.zeros(m, dtype=np.bool_)
        for t in range(1, nights + 1):
            sums += night_weight(t) * night_e_values(p[t - 1], alpha, t)
            flags = e_benjamini_hochberg(sums, alpha)
            assert (flags >= before).all()
            before = flags
            proportions.append(flags[members:].sum() / max(1, flags.sum()))
        largest[world], power[world] = max(proportions), before[:members].mean()
    assert largest.mean() <= alpha
    assert power.mean() > 0.5


def test_bad_arguments_are_refused() -> None:
    for call in (lambda: night_weight(0), lambda: night_e_values(np.array([0.5]), ALPHA, 0)):
        with pytest.raises(ValueError, match="counted from 1, not 0"):
            call()
    for alpha in (0.0, 1.0):
        with pytest.raises(ValueError, match="false discovery rate"):
            night_e_values(np.array([0.5]), alpha)
        with pytest.raises(ValueError, match="false discovery rate"):
            e_benjamini_hochberg(np.array([0.5]), alpha)
    for value in (-1.0, np.nan):
        with pytest.raises(ValueError, match="not negative"):
            e_benjamini_hochberg(np.array([value]), ALPHA)
    assert not len(e_benjamini_hochberg(night_e_values(np.empty(0), ALPHA), ALPHA))
