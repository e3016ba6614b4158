from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta, expon, genpareto, norm

from distributed.statistics.calibration import conformal_p_values
from distributed.statistics.similarity import Floats
from distributed.statistics.tail import GOOD_FIT, SMALLEST_P, fit_tail, tail_p_values

Quantile = Callable[[Floats], Floats]
LEVELS = np.array([1e-3, 1e-4, 1e-5, 1e-6])


def exponential(p: Floats) -> Floats:
    return np.asarray(expon.isf(p))


def normal_maximum(p: Floats) -> Floats:
    """The score that the largest of 100 normal numbers exceeds with probability p."""
    return np.asarray(norm.isf(-np.expm1(np.log1p(-p) / 100)))


def bounded(p: Floats) -> Floats:
    return np.asarray(beta.isf(p, 30, 30))


def heavy(p: Floats) -> Floats:
    return np.asarray(genpareto.isf(p, 0.2))


def cohort_of(quantile: Quantile, n: int, seed: int) -> Floats:
    return quantile(np.random.default_rng(seed).uniform(size=n))


@pytest.mark.parametrize("quantile", [exponential, normal_maximum, bounded])
@pytest.mark.parametrize("n", [200, 800])
def test_intervals_hold_the_truth_about_as_often_as_they_say(quantile: Quantile, n: int) -> None:
    worlds, scores = 60, quantile(LEVELS)
    held = np.zeros(len(LEVELS))
    for seed in range(worlds):
        tail = tail_p_values(scores, cohort_of(quantile, n, seed), seed=seed, resamples=100)
        held += (tail.low <= LEVELS) & (tail.high >= LEVELS)
    assert (held / worlds >= 0.95 - 3 * np.sqrt(0.05 * 0.95 / worlds)).all()


def test_p_values_are_near_the_truth_where_the_tail_is_exponential() -> None:
    p_values = [
        tail_p_values(exponential(LEVELS), cohort_of(exponential, 1000, seed), seed=0, resamples=1).p_value
        for seed in range(100)
    ]
    error = np.median(np.log10(p_values / LEVELS), axis=0)
    assert (np.abs(error) < [0.2, 0.3, 0.5, 0.7]).all()
    assert (error > -0.05).all(), "not too small"


def test_the_documented_limit_of_heavy_tails_is_as_bad_as_it_says() -> None:
    scores, worlds = heavy(LEVELS), 60
    held = np.zeros(len(LEVELS))
    for seed in range(worlds):
        tail = tail_p_values(scores, cohort_of(heavy, 452, seed), seed=seed, resamples=100)
        held += (tail.low <= LEVELS) & (tail.high >= LEVELS)
    assert (held / worlds > 0.65).all() and (held / worlds < 0.97).all()


@pytest.mark.parametrize("shape", [-0.3, 0.0, 0.3])
def test_the_fit_agrees_with_scipys_maximum_likelihood(shape: float) -> None:
    random = np.random.default_rng(3)
    cohort = genpareto.rvs(shape, size=20_000, random_state=random)
    fit = fit_tail(cohort)
    assert fit is not None and fit.n == 20_000
    tail = cohort[cohort > fit.threshold] - fit.threshold
    assert len(tail) == fit.excesses
    expected_shape, _, expected_scale = genpareto.fit(tail, floc=0)
    assert fit.shape == pytest.approx(expected_shape, abs=0.06)
    assert fit.scale == pytest.approx(expected_scale, rel=0.06)
    # Above any threshold the excesses keep the shape (Coles 2001, eq. 4.4).
    assert fit.shape == pytest.approx(shape, abs=0.1)


def test_p_values_equal_scipys_survival_function() -> None:
    cohort = cohort_of(heavy, 1000, 4)
    fit = fit_tail(cohort)
    assert fit is not None and fit.shape > 0
    scores = fit.threshold + np.array([0.1, 1.0, 10.0])
    expected = (fit.excesses + 1) / 1001 * genpareto.sf(scores, fit.shape, loc=fit.threshold, scale=fit.scale)
    np.testing.assert_allclose(tail_p_values(scores, cohort, seed=0).p_value, expected, rtol=1e-9)


def test_fit_p_is_about_uniform_for_a_tail_that_is_generalised_pareto() -> None:
    fits = [fit_tail(cohort_of(exponential, 300, seed)) for seed in range(400)]
    # The threshold rises after a bad fit, so only the first threshold's share of good fits is the level's.
    first = max(fit.excesses for fit in fits if fit is not None)
    passed = np.mean([fit is not None and fit.excesses == first and fit.fit_p >= GOOD_FIT for fit in fits])
    assert abs(passed - (1 - GOOD_FIT)) < 0.05
    median = np.mean([fit is not None and fit.excesses == first and fit.fit_p >= 0.5 for fit in fits])
    assert abs(median - 0.5) < 0.1


def test_a_bad_fit_raises_the_threshold() -> None:
    random = np.random.default_rng(5)
    bump = np.concatenate(
        [random.normal(0, 1, 880), random.normal(8, 0.1, 60), 9 + random.exponential(1, 60)]
    )
    fit = fit_tail(bump)
    assert fit is not None and fit.excesses < 100


def test_p_values_meet_the_conformal_ones_at_the_threshold() -> None:
    cohort = cohort_of(normal_maximum, 452, 6)
    fit = fit_tail(cohort)
    assert fit is not None
    just_above = np.array([np.nextafter(fit.threshold, np.inf)])
    extrapolated = tail_p_values(just_above, cohort, seed=0).p_value
    np.testing.assert_allclose(extrapolated, conformal_p_values(just_above, cohort), rtol=1e-6)


def test_scores_in_the_body_are_not_extrapolated() -> None:
    cohort = cohort_of(exponential, 500, 7)
    fit = fit_tail(cohort)
    assert fit is not None
    tail = tail_p_values(np.array([-5.0, 0.0, fit.threshold, cohort.max()]), cohort, seed=0)
    for values in (tail.p_value, tail.low, tail.high):
        assert np.isnan(values).tolist() == [True, True, True, False]


@given(seed=st.integers(0, 2**32), scores=st.lists(st.floats(-1e300, 1e300), min_size=1, max_size=20))
@settings(max_examples=40, deadline=None)
def test_values_are_monotone_and_ordered_and_do_not_depend_on_the_order(
    seed: int, scores: list[float]
) -> None:
    random = np.random.default_rng(seed)
    cohort = cohort_of([exponential, bounded, heavy][seed % 3], 100, seed)
    ranked = np.sort(np.concatenate([scores, cohort.max() * np.array([0.9, 1.0, 1.5, 3.0])]))
    tail = tail_p_values(ranked, cohort, seed=seed, resamples=20)
    there = ~np.isnan(tail.p_value)
    assert there.any()
    for values in (tail.p_value, tail.low, tail.high):
        assert (np.diff(values[there]) <= 0).all()
    assert (tail.low[there] >= 0).all() and (tail.high[there] <= 1).all()
    assert (tail.low[there] <= tail.p_value[there]).all()
    assert (tail.p_value[there] <= tail.high[there]).all()
    shuffle = random.permutation(len(ranked))
    again = tail_p_values(ranked[shuffle], random.permutation(cohort), seed=seed, resamples=20)
    for ordered, shuffled in ((tail.p_value, again.p_value), (tail.low, again.low), (tail.high, again.high)):
        np.testing.assert_array_equal(ordered[shuffle], shuffled)


def test_a_score_far_beyond_an_end_point_keeps_a_p_value() -> None:
    cohort = np.random.default_rng(8).uniform(size=1000)
    fit = fit_tail(cohort)
    assert fit is not None and fit.shape < -0.5
    tail = tail_p_values(np.array([1.1, 1e6]), cohort, seed=0)
    assert (tail.low == 0).all()
    assert 1e-4 < tail.p_value[0] < tail.high[0]
    assert tail.p_value[1] == SMALLEST_P


def test_a_small_or_tied_cohort_has_no_fit() -> None:
    random = np.random.default_rng(9)
    assert fit_tail(random.normal(size=49)) is None
    assert fit_tail(np.zeros(1000)) is None
    assert fit_tail(random.poisson(0.1, 1000).astype(np.float64)) is None
    assert fit_tail(random.poisson(3.0, 1000).astype(np.float64)) is None
    mostly_zero = np.where(random.random(1000) < 0.995, 0.0, random.random(1000))
    assert fit_tail(mostly_zero) is None
    assert np.isnan(tail_p_values(np.array([5.0]), np.zeros(1000), seed=0).high).all()


def test_bad_arguments_are_refused() -> None:
    good = np.arange(100.0)
    for bad in (np.nan, np.inf):
        with pytest.raises(ValueError, match="not a finite number"):
            tail_p_values(np.array([bad]), good, seed=0)
        with pytest.raises(ValueError, match="not a finite number"):
            fit_tail(np.append(good, bad))
    with pytest.raises(ValueError, match="resamples"):
        tail_p_values(good, good, seed=0, resamples=0)
    with pytest.raises(ValueError, match="confidence"):
        tail_p_values(good, good, seed=0, confidence=1.0)
