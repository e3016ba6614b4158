from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import betainc, logsumexp

from distributed.membership.scores import TEMPERATURE, Evidence, person_scores
from distributed.reduce.partial import Partial, empty, merge
from distributed.reduce.search import search
from distributed.statistics.people import operating_point
from distributed.statistics.people.operating_point import (
    OperatingPoint,
    operating_threshold,
    person_threshold,
)
from distributed.statistics.similarity import Floats, Integers, Singles
from tests.support.template_worlds import World, similarities, world

NAMES = ("margin", "max", "topk_mean", "hit_rate")


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
)
@settings(deadline=None, max_examples=60)
def test_the_operating_threshold_equals_the_brute_force_oracle(seed: int, g: int, fmr: str) -> None:
    templates = world(seed, people=2, n=g, d=24)
    identity = np.arange(g, dtype=np.int64) % 3
    expected = brute_force_threshold(templates.samples, identity, fmr)
    assert operating_threshold(templates.samples, identity, float(fmr)) == expected


def test_the_operating_threshold_does_not_depend_on_the_size_of_blocks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    templates = world(0, people=1, n=600, d=128).samples
    identity = np.arange(600) // 3
    whole = operating_threshold(templates, identity, 0.01)
    assert whole.comparisons == 600 * 597 // 2
    assert 0.0099 < whole.fmr <= 0.01
    monkeypatch.setattr(operating_point, "PRODUCTS_AT_ONCE", 5000)
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


def test_a_threshold_of_people_equals_the_brute_force_oracle() -> None:
    templates = world(4, people=9, n=40, d=24)
    owner = np.arange(40, dtype=np.int64) % 11
    similarity = similarities(templates.people, templates.samples)
    non_mated = np.sort(similarity[np.arange(9)[:, None] != owner])[::-1]
    for fmr in (0.001, 0.01, 0.1, 0.5):
        point = person_threshold(templates.people, np.arange(9), templates.samples, owner, fmr)
        allowed = int(fmr * len(non_mated))
        assert point.comparisons == len(non_mated)
        threshold = np.float32(point.threshold)
        assert (non_mated >= threshold).sum() <= allowed and point.fmr <= fmr
        assert abs(threshold - non_mated[allowed]) < 1e-6


def searched(templates: World, k: int = 8) -> Partial:
    return search(templates.people, templates.samples, templates.sample_id, k=k, threshold=0.2)


def scored(templates: World, names: Sequence[str] = NAMES, k: int = 8, **inputs: Any) -> dict[str, Floats]:
    return person_scores(Evidence(searched(templates, k), 4, templates.people.shape[1], **inputs), names)


def test_scores_equal_their_definitions() -> None:
    templates, other = world(1, people=7, n=50, d=24), world(2, people=7, n=50, d=24)
    reference = searched(World(templates.people, other.samples, other.sample_id))
    density = np.linspace(-1, 1, 7)
    names = [*NAMES, "calibrated", "density_ratio"]
    result = scored(templates, names, reference=reference, reference_density=density)
    similarity = similarities(templates.people, templates.samples).astype(np.float64)
    elsewhere = similarities(templates.people, other.samples).astype(np.float64)
    top = np.sort(similarity, axis=1)[:, -4:]
    margins = searched(templates).neighbours.margin.astype(np.float64)
    np.testing.assert_allclose(result["margin"], logsumexp(margins / TEMPERATURE, axis=1), rtol=1e-12)
    np.testing.assert_allclose(result["max"], similarity.max(axis=1), rtol=1e-6)
    np.testing.assert_allclose(result["topk_mean"], top.mean(axis=1), rtol=1e-6)
    np.testing.assert_allclose(result["hit_rate"], (similarity >= 0.2).mean(axis=1), rtol=1e-12)
    np.testing.assert_allclose(
        result["calibrated"], similarity.max(axis=1) - elsewhere.max(axis=1), atol=1e-6
    )
    share = 0.5 * betainc(23 / 2, 0.5, np.sin(np.arccos(top[:, 0])) ** 2)
    share = np.where(top[:, 0] >= 0, share, 1 - share)
    np.testing.assert_allclose(result["density_ratio"], np.log(4 / 50 / share) - density, rtol=1e-5)


@given(seed=st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=25)
def test_scores_go_with_people_wherever_they_stand(seed: int) -> None:
    """The condition of the false-discovery rate: no score knows who is a candidate."""
    templates = world(seed, people=12, n=60, d=16)
    order = np.random.default_rng(seed).permutation(12)
    moved = World(templates.people[order], templates.samples, templates.sample_id)
    names = ("margin", "max", "topk_mean")
    before, after = scored(templates, names), scored(moved, names)
    for name in names:
        np.testing.assert_array_equal(after[name], before[name][order], err_msg=name)


@given(seed=st.integers(0, 2**32 - 1), cut=st.integers(1, 39))
@settings(deadline=None, max_examples=25)
def test_scores_do_not_depend_on_the_order_of_shards_nor_on_k(seed: int, cut: int) -> None:
    templates = world(seed, people=8, n=40, d=16)
    a, b = (searched(templates.part(rows)) for rows in (slice(cut), slice(cut, None)))
    whole = scored(templates)
    for merged in (merge(a, b), merge(b, a)):
        again = person_scores(Evidence(merged, 4, 16), NAMES)
        assert all(again[name].tobytes() == whole[name].tobytes() for name in NAMES)
    wider = scored(templates, NAMES[1:], k=20)
    assert all(np.array_equal(wider[name], whole[name]) for name in NAMES[1:])


def test_topk_mean_averages_the_samples_that_exist() -> None:
    templates = world(2, people=4, n=3, d=16)
    result = person_scores(Evidence(searched(templates), 16, 16), ["topk_mean"])
    similarity = similarities(templates.people, templates.samples).astype(np.float64)
    np.testing.assert_allclose(result["topk_mean"], similarity.mean(axis=1), rtol=1e-6)


def test_what_cannot_be_scored_is_refused() -> None:
    partial = searched(world(3, people=4, n=20, d=16))
    with pytest.raises(ValueError, match="no sample has a template"):
        person_scores(Evidence(empty(4, 8), 4, 16), NAMES)
    with pytest.raises(ValueError, match="no score mean"):
        person_scores(Evidence(partial, 4, 16), ["mean"])
    with pytest.raises(ValueError, match="kept 8"):
        person_scores(Evidence(partial, 9, 16), NAMES)
    for name, needs in (("calibrated", "reference generator"), ("density_ratio", "population")):
        with pytest.raises(ValueError, match=needs):
            person_scores(Evidence(partial, 4, 16), [name])
