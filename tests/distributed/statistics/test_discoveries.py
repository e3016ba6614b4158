from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distributed.statistics.calibration import conformal_p_values
from distributed.statistics.discoveries import benjamini_yekutieli, fdp_bounds, null_limits
from distributed.statistics.similarity import Floats


@given(p=st.lists(st.floats(0.001, 1), max_size=20))
def test_q_values_equal_their_definition(p: list[float]) -> None:
    ordered, harmonic = sorted(p), sum(1 / (j + 1) for j in range(len(p)))
    expected = [
        min([1.0, *(ordered[j] * len(p) * harmonic / (j + 1) for j in range(len(p)) if ordered[j] >= value)])
        for value in p
    ]
    np.testing.assert_allclose(benjamini_yekutieli(np.array(p)), expected, atol=1e-12)


def bounds_of(p: Floats, cohort: int, confidence: float = 0.95) -> Floats:
    return fdp_bounds(p, np.array([cohort]), np.zeros(len(p), np.int64), confidence)


def test_limits_are_passed_as_often_as_the_law_of_the_urn_says() -> None:
    """Drawn as scores, not as the limits are made: by the definition of conformal p-values."""
    random, worlds = np.random.default_rng(3), 4000
    m, n, error = 30, 80, 0.2
    ranks, limits = null_limits(m, n, error)
    passed = 0
    for _ in range(worlds):
        p = np.sort(conformal_p_values(random.random(m), random.random(n)))
        passed += bool((p[ranks - 1] <= limits).any())
    assert error - 0.06 < passed / worlds <= error + 3 * np.sqrt(error * (1 - error) / worlds)


@given(steps=st.lists(st.integers(1, 40), min_size=1, max_size=12))
def test_bounds_equal_their_definition(steps: list[int]) -> None:
    p = np.array(steps) / 40
    ranks, limits = null_limits(len(p), 39, 0.05)
    most = []
    for value in p:
        chosen = p[p <= value]
        bounds = [int((chosen > limit).sum()) + rank - 1 for rank, limit in zip(ranks, limits, strict=True)]
        most.append(min(len(chosen), *bounds))
    true = [max(int((p <= q).sum()) - m for q, m in zip(p, most, strict=True) if q <= value) for value in p]
    expected = [1 - t / int((p <= value).sum()) for t, value in zip(true, p, strict=True)]
    np.testing.assert_allclose(bounds_of(p, 39), expected, atol=1e-12)


def test_a_large_gallery_has_bounds_for_its_leaks_in_seconds() -> None:
    p = np.concatenate([np.full(1000, 1 / 5001), np.random.default_rng(0).integers(1, 5002, 99_000) / 5001])
    start = time.perf_counter()
    bounds = bounds_of(p, 5000)
    assert time.perf_counter() - start < 20
    assert bounds[:1000].max() < 0.2 and bounds.max() >= 0.9
    assert bounds_of(p[::-1], 5000).tolist() == bounds[::-1].tolist()


def test_groups_share_the_error() -> None:
    random = np.random.default_rng(5)
    sizes, worlds, violated = (60, 150), 400, 0
    for _ in range(worlds):
        p = np.concatenate([conformal_p_values(random.random(20), random.random(size)) for size in sizes])
        bounds = fdp_bounds(p, np.array(sizes), np.repeat([0, 1], 20))
        violated += bool((bounds < 1).any())
    assert violated / worlds <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / worlds)


def test_any_threshold_chosen_afterwards_keeps_its_bound() -> None:
    random = np.random.default_rng(1)
    m, members, worlds = 60, 20, 1500
    violated, certain = np.zeros(worlds, dtype=np.bool_), np.empty(worlds)
    for j in range(worlds):
        scores = random.standard_normal(m) + np.where(np.arange(m) < members, 4.0, 0.0)
        p = conformal_p_values(scores, random.standard_normal(1000))
        bounds = bounds_of(p, 1000)
        chosen = p <= p[:, None]
        truth = chosen[:, members:].sum(axis=1) / chosen.sum(axis=1)
        violated[j] = (truth > bounds).any()
        certain[j] = ((1 - bounds) * chosen.sum(axis=1)).max()
    assert violated.mean() <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / worlds)
    assert certain.mean() > members / 2


def test_without_members_the_promise_is_used_up() -> None:
    random = np.random.default_rng(2)
    worlds = 3000
    violated = [
        (bounds_of(conformal_p_values(random.random(20), random.random(399)), 399) < 1).any()
        for _ in range(worlds)
    ]
    assert abs(np.mean(violated) - 0.05) < 4 * np.sqrt(0.05 * 0.95 / worlds)


def test_nobody_has_no_bounds_and_bad_arguments_are_refused() -> None:
    assert bounds_of(np.empty(0), 9).shape == benjamini_yekutieli(np.empty(0)).shape == (0,)
    with pytest.raises(ValueError, match="between 0 and 1, not 1"):
        bounds_of(np.array([0.5]), 9, confidence=1.0)
    for value in (-0.1, 1.1, np.nan):
        with pytest.raises(ValueError, match="p-values lie"):
            bounds_of(np.array([0.5, value]), 9)
