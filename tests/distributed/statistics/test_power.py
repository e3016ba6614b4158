from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from distributed.statistics.power import STEPS, Power, flagging_score
from distributed.statistics.similarity import Floats

SEED = 0
PEOPLE, SAMPLES, SHARE = 400, 2000, 0.002


def by_one(rates: Floats) -> Floats:
    """People who are flagged by one sample with these chances, or never."""
    first = np.zeros((len(rates), len(STEPS)))
    first[:, 0] = rates
    return first


def test_of_one_person_it_is_the_binomial_chance_of_samples_enough() -> None:
    assert Power.by_one(100, 0.5).at(0.01) == pytest.approx(0.5 * (1 - 0.99**100))
    assert Power.by_one(10**6, 1.0).at(1e-9) == pytest.approx(1e-3, rel=1e-3)
    assert Power(3, by_one(np.array([1.0, 0.0]))).at(1.0) == 0.5
    first = np.zeros((1, len(STEPS)))
    first[0, STEPS.index(3)] = 1
    assert Power(100, first).at(0.02) == pytest.approx(binom.sf(2, 100, 0.02))


def test_people_who_need_more_samples_are_flagged_as_often_as_trials_say() -> None:
    """Half of the people take one sample, half eight: the power at the mean number is far off."""
    random = np.random.default_rng(SEED)
    needed = np.where(np.arange(PEOPLE) % 2, 1, 8)
    shown = random.binomial(SAMPLES, SHARE, size=(2000, PEOPLE))
    first = (needed[:, None] == np.array(STEPS)).astype(np.float64)
    assert Power(SAMPLES, first).at(SHARE) == pytest.approx((shown >= needed).mean(), abs=0.01)


@pytest.mark.parametrize("flagged", [0.9, 0.96, 1.0])
def test_the_interval_holds_the_share_that_all_people_would_give(flagged: float) -> None:
    """Of people who are flagged by one sample or never: in 95 % of draws of 200 of them."""
    random, held, count = np.random.default_rng(SEED), 0, 300
    truth = Power.by_one(SAMPLES, flagged).smallest_share(0.8)
    assert truth is not None
    for _ in range(count):
        low, high = Power(SAMPLES, by_one((random.random(200) < flagged).astype(np.float64))).interval(0.8)
        held += low is not None and low <= truth and (high is None or truth <= high)
    assert held >= 0.95 * count - 2 * np.sqrt(0.05 * 0.95 * count)


def test_few_people_leave_no_upper_limit() -> None:
    """With 30 people who are all flagged, 95 % of all may not be; with 300 they are."""
    few, many = (Power(SAMPLES, by_one(np.ones(people))).interval(0.95) for people in (30, 300))
    assert few[1] is None and few[0] is not None
    assert many[1] is not None and many[0] is not None and many[0] <= many[1]
    assert Power(SAMPLES, by_one(np.zeros(300))).interval(0.95) == (None, None)


@given(
    rates=st.lists(st.floats(0, 1), min_size=1, max_size=30),
    power=st.sampled_from([0.5, 0.8, 0.95]),
    samples=st.integers(1, 10**8),
)
@settings(deadline=None, max_examples=200)
def test_the_smallest_share_has_just_that_power(rates: list[float], power: float, samples: int) -> None:
    curve = Power(samples, by_one(np.array(rates)))
    share = curve.smallest_share(power)
    if share is None:
        assert curve.at(1.0) < power
    else:
        assert 0 < share <= 1 and curve.at(share) == pytest.approx(power, abs=1e-6)


def test_who_passes_the_flagging_score_is_flagged_alone() -> None:
    cohort = np.arange(399, dtype=np.float64)
    needed = flagging_score(cohort, 0.05 / 20)
    assert needed == 398.0  # 400 · 0.05 / 20 = 1: above all of the cohort
    assert flagging_score(cohort[:398], 0.05 / 20) is None
    assert flagging_score(cohort, 0.05 / 10) == 397.0
