from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distributed.statistics.calibration import conformal_p_values
from distributed.statistics.discoveries import benjamini_yekutieli, fdp_bounds

STEPS = 40
P_VALUES = st.lists(st.integers(1, STEPS), min_size=1, max_size=8)


@given(p=st.lists(st.floats(0.001, 1), max_size=20))
def test_q_values_equal_their_definition(p: list[float]) -> None:
    ordered, harmonic = sorted(p), sum(1 / (j + 1) for j in range(len(p)))
    expected = [
        min([1.0, *(ordered[j] * len(p) * harmonic / (j + 1) for j in range(len(p)) if ordered[j] >= value)])
        for value in p
    ]
    np.testing.assert_allclose(benjamini_yekutieli(np.array(p)), expected, atol=1e-12)


def simes_rejects(p: Sequence[Fraction], alpha: Fraction) -> bool:
    return any(len(p) * value <= alpha * (j + 1) for j, value in enumerate(sorted(p)))


def closed_testing(p: Sequence[Fraction], alpha: Fraction) -> list[Fraction]:
    """Bounds by the definition: the largest subset of a set that no superset's Simes test rejects."""
    subsets = [set(some) for size in range(1, len(p) + 1) for some in combinations(range(len(p)), size)]
    accepted = [some for some in subsets if not simes_rejects([p[j] for j in some], alpha)]
    unrejected = [some for some in subsets if any(some <= whole for whole in accepted)]
    bounds = []
    for threshold in p:
        chosen = {j for j, value in enumerate(p) if value <= threshold}
        largest = max((len(some) for some in unrejected if some <= chosen), default=0)
        bounds.append(Fraction(largest, len(chosen)))
    return bounds


@given(steps=P_VALUES, alpha=st.sampled_from(["0.05", "0.1", "0.3", "0.5", "0.9"]))
def test_the_bounds_equal_closed_testing(steps: list[int], alpha: str) -> None:
    bounds = fdp_bounds(np.array(steps) / STEPS, 1 - float(alpha))
    expected = closed_testing([Fraction(step, STEPS) for step in steps], Fraction(alpha))
    assert bounds.tolist() == [float(bound) for bound in expected]


def test_the_largest_gallery_has_bounds_for_its_leaks() -> None:
    p = np.concatenate([np.full(100, 1e-6), np.random.default_rng(0).random(9900)])
    bounds = fdp_bounds(p)
    assert (bounds[:100] == 0).all() and bounds.max() >= 0.95
    assert fdp_bounds(p[::-1]).tolist() == bounds[::-1].tolist()


def test_any_threshold_chosen_afterwards_keeps_its_bound() -> None:
    random = np.random.default_rng(1)
    m, members, worlds = 60, 20, 1500
    violated, certain = np.zeros(worlds, dtype=np.bool_), np.empty(worlds)
    for j in range(worlds):
        scores = random.standard_normal(m) + np.where(np.arange(m) < members, 4.0, 0.0)
        p = conformal_p_values(scores, random.standard_normal(1000))
        bounds = fdp_bounds(p)
        chosen = p <= p[:, None]
        truth = chosen[:, members:].sum(axis=1) / chosen.sum(axis=1)
        violated[j] = (truth > bounds).any()
        certain[j] = ((1 - bounds) * chosen.sum(axis=1)).max()
    assert violated.mean() <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / worlds)
    assert certain.mean() > members / 2


def test_without_members_the_promise_is_used_up() -> None:
    random = np.random.default_rng(2)
    worlds = 3000
    # m = 20 at alpha = 0.05 and a cohort of 399: all Simes bounds are p-values that can occur.
    violated = [
        (fdp_bounds(conformal_p_values(random.random(20), random.random(399))) < 1).any()
        for _ in range(worlds)
    ]
    assert abs(np.mean(violated) - 0.05) < 4 * np.sqrt(0.05 * 0.95 / worlds)


def test_nobody_has_no_bounds_and_bad_arguments_are_refused() -> None:
    assert fdp_bounds(np.empty(0)).shape == benjamini_yekutieli(np.empty(0)).shape == (0,)
    with pytest.raises(ValueError, match="between 0 and 1, not 1"):
        fdp_bounds(np.array([0.5]), confidence=1.0)
    for value in (-0.1, 1.1, np.nan):
        with pytest.raises(ValueError, match="p-values lie"):
            fdp_bounds(np.array([0.5, value]))
