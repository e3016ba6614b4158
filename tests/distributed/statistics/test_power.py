from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distributed.statistics.power import (
    Power,
    flagging_similarity,
    mated_similarity,
    per_million,
)
from distributed.statistics.similarity import Floats, Integers, Singles
from tests.support.template_worlds import similarities, unit

SEED = 0
PEOPLE, PHOTOS, SAMPLES, SHARE, OFTEN = 400, 4, 2000, 0.002, 0.001


def test_of_one_person_it_is_the_binomial_chance_of_at_least_one_match() -> None:
    assert Power(100, np.array([0.5])).at(0.01) == pytest.approx(1 - 0.995**100)
    assert Power(10**6, np.ones(1)).at(1e-9) == pytest.approx(1e-3, rel=1e-3)
    assert Power(3, np.array([1.0, 0.0])).at(1.0) == 0.5


def test_people_who_match_differently_are_flagged_as_often_as_trials_say() -> None:
    """Half of the people match nearly always, half hardly ever: the power at the mean rate is far above."""
    random = np.random.default_rng(SEED)
    rates = np.where(np.arange(PEOPLE) % 2, 0.95, 0.05)
    shown = random.binomial(SAMPLES, SHARE, size=(200, PEOPLE))
    flagged = float((random.binomial(shown, rates) > 0).mean())
    assert Power(SAMPLES, rates).at(SHARE) == pytest.approx(flagged, abs=0.01)
    at_the_mean = Power(SAMPLES, np.array([rates.mean()])).at(SHARE)
    assert at_the_mean > flagged + 0.2


def scattered_people(random: np.random.Generator, people: int, photos: int) -> tuple[Singles, Floats, Floats]:
    """Templates (people, photos, 64), centres and scatter; some people's photos are far more alike."""
    centres = random.standard_normal((people, 64))
    scatter = random.choice([0.5, 1.6], people)
    noise = random.standard_normal((people, photos, 64))
    rows = (centres[:, None] + scatter[:, None, None] * noise).astype(np.float32)
    return unit(rows.reshape(-1, 64)).reshape(rows.shape), centres, scatter


def test_the_estimate_from_photos_does_not_exceed_what_samples_of_new_people_give() -> None:
    """Templates of a cohort with unequal match rates, and of others who are really in the samples."""
    random = np.random.default_rng(SEED)
    cohort, *_ = scattered_people(random, PEOPLE, PHOTOS)
    identity = np.repeat(np.arange(PEOPLE), PHOTOS)
    rank = np.tile(np.arange(PHOTOS), PEOPLE)
    needed = 0.4
    mated = mated_similarity(cohort.reshape(-1, 64), identity, rank, PHOTOS, np.arange(PEOPLE))
    power = Power(SAMPLES, mated.match_rates(needed))
    photos, centres, scatter = scattered_people(random, 4000, PHOTOS)
    flagged = np.array(
        [_largest_mean(random, photos[k], centres[k], scatter[k]) > needed for k in range(len(photos))]
    )
    # More than one sample may show a person, and each photo takes the nearest: the estimate is a little low.
    assert flagged.mean() - 0.1 < power.at(OFTEN) < flagged.mean() + 0.02
    at_the_mean = Power(SAMPLES, np.array([power.match_rates.mean()])).at(OFTEN)
    assert at_the_mean > power.at(OFTEN) + 0.05


def _largest_mean(random: np.random.Generator, photos: Singles, centre: Floats, scatter: float) -> float:
    """The score `max` by the samples that show the person, a binomial number of them."""
    shown = random.binomial(SAMPLES, OFTEN)
    if not shown:
        return -1.0
    samples = unit((centre + scatter * random.standard_normal((shown, 64))).astype(np.float32))
    return float((unit(photos.mean(axis=0)[None]) @ samples.T).max())


@given(
    rates=st.lists(st.floats(0, 1), min_size=1, max_size=30),
    power=st.sampled_from([0.5, 0.8, 0.95]),
    samples=st.integers(1, 10**8),
)
@settings(deadline=None, max_examples=200)
def test_the_smallest_share_has_just_that_power(rates: list[float], power: float, samples: int) -> None:
    curve = Power(samples, np.array(rates))
    share = curve.smallest_share(power)
    if share is None:
        assert curve.at(1.0) < power
    else:
        assert 0 < share <= 1 and curve.at(share) == pytest.approx(power, abs=1e-6)


def test_a_share_is_rounded_up_to_three_digits() -> None:
    shares = [0.0123456, 9.9401e-5, 7.28006e-5, 1e-6, 1.001e-9, 1.0]
    assert [per_million(share) for share in shares] == ["12,400", "99.5", "72.9", "1", "0.00101", "1,000,000"]


def test_who_passes_the_flagging_similarity_is_flagged_alone() -> None:
    cohort = np.arange(399, dtype=np.float64)
    needed = flagging_similarity(cohort, 0.05 / 20)
    assert needed == 398.0  # 400 · 0.05 / 20 = 1: above all of the cohort
    assert flagging_similarity(cohort[:398], 0.05 / 20) is None
    assert flagging_similarity(cohort, 0.05 / 10) == 397.0


@given(seed=st.integers(0, 2**32 - 1), photos=st.integers(1, 5))
@settings(deadline=None, max_examples=40)
def test_mated_similarities_leave_each_photo_out_in_turn(seed: int, photos: int) -> None:
    random = np.random.default_rng(seed)
    identity: Integers = random.integers(0, 6, 20).astype(np.int64)
    rank = np.array([int((identity[:row] == person).sum()) for row, person in enumerate(identity)])
    templates = unit(random.standard_normal((20, 8)).astype(np.float32))
    people = np.array([0, 2, 5])
    mated = mated_similarity(templates, identity, rank, photos, people)
    rates, expected = [], []
    for person in people:
        rows = np.flatnonzero(identity == person)
        means = [
            float(
                similarities(templates[[row]], templates[rows[rows != row][:photos]].mean(axis=0)[None])[0, 0]
            )
            for row in rows
            if len(rows) > 1
        ]
        expected += means
        rates += [float(np.mean(np.array(means) > 0.1))] if means else []
    np.testing.assert_allclose(mated.similarity, expected, atol=1e-6)
    assert mated.people == len(rates)
    np.testing.assert_allclose(mated.match_rates(0.1), rates)
