from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import betainc

from distributed.membership.scores import Evidence, photo_scores
from distributed.reduce.neighbours import Partial, empty, merge, search
from distributed.statistics.matching import identity_means
from distributed.statistics.people import operating_point
from distributed.statistics.people.operating_point import OperatingPoint, operating_threshold
from distributed.statistics.similarity import Floats, Integers, Singles
from tests.support.template_worlds import World, similarities, world

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
    templates = world(seed, g=2, n=g, d=24, copies=copies)
    identity = np.arange(g, dtype=np.int64) % 3
    expected = brute_force_threshold(templates.samples, identity, fmr)
    assert operating_threshold(templates.samples, identity, float(fmr)) == expected


def test_the_operating_threshold_does_not_depend_on_the_size_of_blocks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    templates = world(0, g=1, n=600, d=128).samples
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


def searched(templates: World, k: int = 8) -> Partial:
    return search(
        templates.gallery, templates.identity, templates.samples, templates.sample_id, k=k, threshold=0.2
    )


def scored(templates: World, names: Sequence[str] = NAMES, k: int = 8, **inputs: Any) -> dict[str, Floats]:
    return photo_scores(Evidence(searched(templates, k), 4, templates.gallery.shape[1], **inputs), names)


def test_scores_equal_their_definitions() -> None:
    templates, other = world(1, g=7, n=50, d=24), world(2, g=7, n=50, d=24)
    reference = searched(World(templates.gallery, templates.identity, other.samples, other.sample_id))
    density = np.linspace(-1, 1, 7)
    names = [*NAMES, "calibrated", "density_ratio"]
    result = scored(templates, names, reference=reference, reference_density=density)
    similarity = similarities(templates.gallery, templates.samples).astype(np.float64)
    elsewhere = similarities(templates.gallery, other.samples).astype(np.float64)
    top = np.sort(similarity, axis=1)[:, -4:]
    np.testing.assert_allclose(result["max"], similarity.max(axis=1), rtol=1e-12)
    np.testing.assert_allclose(result["topk_mean"], top.mean(axis=1), rtol=1e-7)
    np.testing.assert_allclose(result["hit_rate"], (similarity >= 0.2).mean(axis=1), rtol=1e-12)
    np.testing.assert_allclose(
        result["calibrated"], similarity.max(axis=1) - elsewhere.max(axis=1), rtol=1e-6
    )
    share = 0.5 * betainc(23 / 2, 0.5, np.sin(np.arccos(top[:, 0])) ** 2)
    share = np.where(top[:, 0] >= 0, share, 1 - share)
    np.testing.assert_allclose(result["density_ratio"], np.log(4 / 50 / share) - density, rtol=1e-6)


@given(seed=st.integers(0, 2**32 - 1), times=st.integers(2, 5))
@settings(deadline=None, max_examples=25)
def test_an_identitys_score_does_not_depend_on_how_many_photos_others_have(seed: int, times: int) -> None:
    templates = world(seed, g=8, n=40, d=16)
    often = np.concatenate([np.arange(8), np.repeat(np.flatnonzero(templates.identity == 0), times - 1)])
    more = World(templates.gallery[often], templates.identity[often], templates.samples, templates.sample_id)
    rank = np.array([int((more.identity[:row] == more.identity[row]).sum()) for row in range(len(often))])
    for name in NAMES:
        before = identity_means(scored(templates)[name], templates.identity, rank[:8], 2, 4)
        after = identity_means(scored(more)[name], more.identity, rank, 2, 4)
        np.testing.assert_allclose(after, before, rtol=1e-12)


@given(seed=st.integers(0, 2**32 - 1), cut=st.integers(1, 39))
@settings(deadline=None, max_examples=25)
def test_scores_do_not_depend_on_the_order_of_shards_nor_on_k(seed: int, cut: int) -> None:
    templates = world(seed, g=8, n=40, d=16)
    parts = [
        World(templates.gallery, templates.identity, templates.samples[s], templates.sample_id[s])
        for s in (slice(cut), slice(cut, None))
    ]
    a, b = (searched(part) for part in parts)
    whole = scored(templates)
    for merged in (merge(a, b), merge(b, a)):
        again = photo_scores(Evidence(merged, 4, 16), NAMES)
        assert all(again[name].tobytes() == whole[name].tobytes() for name in NAMES)
    wider = scored(templates, k=20)
    assert all(np.array_equal(wider[name], whole[name]) for name in NAMES)


def test_topk_mean_averages_the_samples_that_exist() -> None:
    templates = world(2, g=4, n=3, d=16)
    result = photo_scores(Evidence(searched(templates), 16, 16), ["topk_mean"])
    similarity = similarities(templates.gallery, templates.samples).astype(np.float64)
    np.testing.assert_allclose(result["topk_mean"], similarity.mean(axis=1), rtol=1e-7)


def test_what_cannot_be_scored_is_refused() -> None:
    templates = world(3, g=4, n=20, d=16)
    partial = searched(templates)
    with pytest.raises(ValueError, match="no sample has a template"):
        photo_scores(Evidence(empty(4, 2, 8), 4, 16), NAMES)
    with pytest.raises(ValueError, match="no score mean"):
        photo_scores(Evidence(partial, 4, 16), ["mean"])
    with pytest.raises(ValueError, match="kept 8"):
        photo_scores(Evidence(partial, 9, 16), NAMES)
    for name, needs in (
        ("calibrated", "reference generator"),
        ("density_ratio", "population"),
        ("t_norm", "templates"),
    ):
        with pytest.raises(ValueError, match=needs):
            photo_scores(Evidence(partial, 4, 16), [name])
