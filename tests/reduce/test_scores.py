from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distributed.reduce import scores
from distributed.reduce.neighbours import Partial, empty, search
from distributed.reduce.scores import OperatingPoint, operating_threshold, score_identities
from distributed.reduce.similarity import Integers, Singles
from tests.reduce.worlds import World, similarities, world

NAMES = ("max", "topk_mean", "hit_rate")


def brute_force_threshold(templates: Singles, identity: Integers, fmr: str) -> OperatingPoint:
    similarity = similarities(templates, templates)
    rows, columns = np.triu_indices(len(templates), 1)
    non_mated = similarity[rows, columns][identity[rows] != identity[columns]]
    for refused in np.unique(non_mated):
        threshold = np.nextafter(refused, np.float32(np.inf))
        accepted = int((non_mated >= threshold).sum())
        if Fraction(accepted, len(non_mated)) <= Fraction(fmr):
            return OperatingPoint(float(threshold), accepted / len(non_mated), len(non_mated))
    raise AssertionError("no threshold has the rate")


@given(
    seed=st.integers(0, 2**32 - 1),
    g=st.integers(3, 40),
    fmr=st.sampled_from(["0.001", "0.01", "0.1", "0.29", "0.5", "0.9"]),
    copies=st.booleans(),
)
@settings(deadline=None, max_examples=60)
def test_the_operating_threshold_equals_the_brute_force_oracle(
    seed: int, g: int, fmr: str, copies: bool
) -> None:
    one = world(seed, g=2, n=g, d=24, copies=copies)
    identity = np.arange(g, dtype=np.int64) % 3
    expected = brute_force_threshold(one.samples, identity, fmr)
    assert operating_threshold(one.samples, identity, float(fmr)) == expected


def test_the_operating_threshold_does_not_depend_on_the_size_of_blocks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    templates = world(0, g=1, n=600, d=128).samples
    identity = np.arange(600) // 3
    whole = operating_threshold(templates, identity, 0.01)
    assert whole.comparisons == 600 * 597 // 2
    assert 0.0099 < whole.fmr <= 0.01
    monkeypatch.setattr(scores, "PRODUCTS_AT_ONCE", 5000)
    assert operating_threshold(templates, identity, 0.01) == whole


def test_a_small_cohort_sets_the_threshold_above_all_its_comparisons() -> None:
    templates = np.eye(4, dtype=np.float32)
    point = operating_threshold(templates, np.arange(4), 0.1)
    assert point == OperatingPoint(float(np.nextafter(np.float32(0), np.float32(1))), 0.0, 6)


def test_an_operating_threshold_needs_two_identities_and_a_rate() -> None:
    templates = np.eye(4, dtype=np.float32)
    with pytest.raises(ValueError, match="two identities"):
        operating_threshold(templates, np.zeros(4, dtype=np.int64), 0.1)
    with pytest.raises(ValueError, match="between 0 and 1"):
        operating_threshold(templates, np.arange(4), 1.0)


def searched(one: World, k: int = 8) -> Partial:
    return search(one.gallery, one.identity, one.samples, one.sample_id, k=k, threshold=0.2)


def test_scores_equal_their_definitions() -> None:
    one = world(1, g=7, n=50, d=24)
    result = score_identities(searched(one), one.identity, NAMES, topk=4)
    similarity = similarities(one.gallery, one.samples).astype(np.float64)
    for identity in range(3):
        photos = similarity[one.identity == identity]
        assert result["max"][identity] == pytest.approx(np.mean([row.max() for row in photos]), rel=1e-12)
        top = [np.sort(row)[-4:].mean() for row in photos]
        assert result["topk_mean"][identity] == pytest.approx(np.mean(top), rel=1e-12)
        assert result["hit_rate"][identity] == pytest.approx((photos >= 0.2).mean(), rel=1e-12)


@given(seed=st.integers(0, 2**32 - 1), times=st.integers(2, 5))
@settings(deadline=None, max_examples=25)
def test_more_photos_of_the_same_do_not_change_a_score(seed: int, times: int) -> None:
    one = world(seed, g=8, n=40, d=16)
    often = np.concatenate([np.arange(8), np.repeat(np.flatnonzero(one.identity == 0), times - 1)])
    more = World(one.gallery[often], one.identity[often], one.samples, one.sample_id)
    before = score_identities(searched(one), one.identity, NAMES, topk=4)
    after = score_identities(searched(more), more.identity, NAMES, topk=4)
    for name in NAMES:
        np.testing.assert_allclose(after[name], before[name], rtol=1e-12)


def test_topk_mean_averages_the_samples_that_exist() -> None:
    one = world(2, g=4, n=3, d=16)
    result = score_identities(searched(one), one.identity, ["topk_mean"], topk=16)
    similarity = similarities(one.gallery, one.samples).astype(np.float64)
    expected = [similarity[one.identity == identity].mean() for identity in range(2)]
    np.testing.assert_allclose(result["topk_mean"], expected, rtol=1e-12)


def test_what_cannot_be_scored_is_refused() -> None:
    one = world(3, g=4, n=20, d=16)
    partial = searched(one)
    with pytest.raises(ValueError, match="no sample has a template"):
        score_identities(empty(4, 2, 8), one.identity, NAMES, topk=4)
    with pytest.raises(ValueError, match="no score mean"):
        score_identities(partial, one.identity, ["mean"], topk=4)
    with pytest.raises(ValueError, match="kept 8"):
        score_identities(partial, one.identity, NAMES, topk=9)
    with pytest.raises(ValueError, match="identity 1 has no photo"):
        score_identities(partial, np.zeros(4, dtype=np.int64), NAMES, topk=4)
