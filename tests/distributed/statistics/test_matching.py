from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distributed.statistics.calibration import conformal_p_values
from distributed.statistics.matching import (
    EVERYBODY,
    OTHERS,
    calibration_groups,
    merged_strata,
    photo_choices,
    photo_ranks,
    quality_strata,
)


@given(seed=st.integers(0, 2**32 - 1), g=st.integers(1, 30))
@settings(deadline=None, max_examples=50)
def test_ranks_number_each_identitys_photos_whatever_the_order_of_rows(seed: int, g: int) -> None:
    random = np.random.default_rng(seed)
    identity = random.integers(0, 5, g)
    keys = [f"photo {row}" for row in range(g)]
    ranks = photo_ranks(identity, keys)
    for person in range(5):
        assert sorted(ranks[identity == person]) == list(range((identity == person).sum()))
    order = random.permutation(g)
    assert np.array_equal(photo_ranks(identity[order], [keys[row] for row in order]), ranks[order])


def test_every_candidate_is_in_one_group_with_a_cohort_that_has_as_many_photos() -> None:
    random = np.random.default_rng(0)
    photos, in_cohort = random.integers(1, 9, 300), np.arange(300) >= 60
    for wanted in (None, 1, 3):
        groups = calibration_groups(photos, in_cohort, ["x"] * 300, wanted)
        assert sorted(np.concatenate([group.candidates for group in groups])) == list(range(60))
        for group in groups:
            assert (photos[group.cohort] >= group.photos).all() and in_cohort[group.cohort].all()
            assert (photos[group.candidates] >= group.photos).all()
            if wanted is None:
                assert len(group.cohort) >= 0.5 * 240
            else:
                assert group.photos <= wanted
    with pytest.raises(ValueError, match="has no cohort"):
        calibration_groups(photos, in_cohort, ["x"] * 59 + ["y"] + ["x"] * 240, None)


def share_below(matched: bool, worlds: int = 300) -> float:
    """The share of p-values up to 0.02 of candidates with one photo, against a cohort with eight each."""
    below = []
    for seed in range(worlds):
        random = np.random.default_rng(seed)
        photos = np.repeat([1, 8], [10, 200])
        identity = np.repeat(np.arange(210), photos)
        values = random.normal(0, 0.3, 210)[identity] + random.normal(0, 1, len(identity))
        rank = photo_ranks(identity, [str(row) for row in range(len(identity))])
        if matched:
            (group,) = calibration_groups(photos, np.arange(210) >= 10, ["x"] * 210, None)
            used = rank < group.photos
            means = np.bincount(identity[used], weights=values[used]) / group.photos
        else:
            means = np.bincount(identity, weights=values) / photos
        below.append((conformal_p_values(means[:10], means[10:]) <= 0.02).mean())
    return float(np.mean(below))


def test_matched_photos_make_p_values_valid_and_plain_means_do_not() -> None:
    assert share_below(matched=True) < 0.03
    assert share_below(matched=False) > 0.1


def test_fewer_photos_can_make_the_cohort_large_enough() -> None:
    photos = np.array([4] * 10 + [4] * 50 + [1] * 200)
    choices = photo_choices(photos, np.arange(260) >= 10, 0.05)
    assert [(choice.photos, choice.cohort, choice.flags_one) for choice in choices] == [
        (1, 250, True),
        (2, 50, False),
        (4, 50, False),
    ]


def test_small_strata_are_merged() -> None:
    strata, in_cohort = ["a"] * 50 + ["b"] * 5 + ["c"] * 6 + ["d"] * 40, np.ones(101, dtype=bool)
    assert merged_strata(strata, in_cohort, 10) == ["a"] * 50 + [OTHERS] * 11 + ["d"] * 40
    assert merged_strata(strata, in_cohort, 20) == ["a"] * 50 + [OTHERS] * 51
    assert merged_strata(strata, in_cohort, 1000) == [EVERYBODY] * 101


def test_quality_strata_cut_the_cohort_in_thirds() -> None:
    quality = np.concatenate([np.arange(90.0), [np.nan]])
    names = quality_strata(quality, np.ones(91, dtype=bool))
    assert [names.count(name) for name in ("low", "middle", "high", "unknown")] == [30, 30, 30, 1]
