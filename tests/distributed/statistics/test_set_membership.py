from __future__ import annotations

from collections.abc import Callable
from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest

from distributed.statistics.set_membership import set_p_value
from distributed.statistics.similarity import Floats

SIDE = st.lists(st.integers(0, 3).map(float), min_size=1, max_size=3)


def exact_p_value(groups: list[tuple[list[float], list[float]]]) -> float:
    """The share of all labellings whose statistic is at least that of the given one."""
    sums, observed = [], 0.0
    for side, cohort in groups:
        pooled = side + cohort
        terms = [-np.log(sum(other >= s for other in pooled) / len(pooled)) for s in pooled]
        sums.append([sum(terms[j] for j in some) for some in combinations(range(len(pooled)), len(side))])
        observed += sum(terms[: len(side)])
    statistics = [sum(labelling) for labelling in product(*sums)]
    return sum(bool(statistic >= observed - 1e-9) for statistic in statistics) / len(statistics)


@settings(max_examples=25, deadline=None)
@given(groups=st.lists(st.tuples(SIDE, SIDE), min_size=1, max_size=2))
def test_the_p_value_is_that_of_all_labellings(groups: list[tuple[list[float], list[float]]]) -> None:
    p = set_p_value(
        [np.array(side) for side, _ in groups], [np.array(cohort) for _, cohort in groups], seed=0
    )
    exact = exact_p_value(groups)
    assert abs(p - exact) <= 5 * np.sqrt(exact * (1 - exact) / 9999) + 1e-4


def continuous(random: np.random.Generator) -> tuple[list[Floats], list[Floats]]:
    return [random.standard_normal(20)], [random.standard_normal(60)]


def tied(random: np.random.Generator) -> tuple[list[Floats], list[Floats]]:
    counts = random.poisson(0.7, 80).astype(np.float64)
    return [counts[:20]], [counts[20:]]


def two_strata(random: np.random.Generator) -> tuple[list[Floats], list[Floats]]:
    """All people of the second group score higher, and there are more candidates among them."""
    sides = [random.standard_normal(5), 9 + random.standard_normal(25)]
    return sides, [random.standard_normal(60), 9 + random.standard_normal(30)]


@pytest.mark.parametrize("world", [continuous, tied, two_strata])
def test_p_values_are_uniform_where_nobody_is_a_member(
    world: Callable[[np.random.Generator], tuple[list[Floats], list[Floats]]],
) -> None:
    random = np.random.default_rng(0)
    p = np.array([set_p_value(*world(random), seed=j, permutations=199) for j in range(400)])
    # With ties a p-value may only be too large. A uniform draw within each step makes it continuous.
    side = "greater" if world is tied else "two-sided"
    assert kstest(p - random.random(400) / 200, "uniform", alternative=side).pvalue > 0.01


def test_groups_that_are_pooled_by_mistake_would_be_found_out() -> None:
    random = np.random.default_rng(1)
    sides, cohorts = two_strata(random)
    assert set_p_value(sides, cohorts, seed=0) > 0.1
    assert set_p_value([np.concatenate(sides)], [np.concatenate(cohorts)], seed=0) < 0.01


def test_a_few_leaked_people_are_enough() -> None:
    random = np.random.default_rng(2)
    significant = []
    for j in range(100):
        side = random.standard_normal(100) + np.where(np.arange(100) < 5, 4.0, 0.0)
        significant.append(
            set_p_value([side], [random.standard_normal(1000)], seed=j, permutations=499) <= 0.05
        )
    assert np.mean(significant) > 0.6


def test_the_order_of_rows_and_groups_does_not_matter() -> None:
    random = np.random.default_rng(3)
    sides, cohorts = two_strata(random)
    p = set_p_value(sides, cohorts, seed=5, permutations=999)
    mixed = [random.permutation(side) for side in sides], [random.permutation(side) for side in cohorts]
    assert set_p_value(*mixed, seed=5, permutations=999) == p
    assert set_p_value(sides[::-1], cohorts[::-1], seed=5, permutations=999) == p
    assert set_p_value(sides, cohorts, seed=6, permutations=999) != p


def test_equal_scores_say_nothing() -> None:
    assert set_p_value([np.ones(7)], [np.ones(9)], seed=0, permutations=99) == 1.0


def test_the_floor_is_that_of_the_permutations() -> None:
    p = set_p_value([np.full(50, 9.0)], [np.random.default_rng(4).random(500)], seed=0, permutations=99)
    assert p == 1 / 100


def test_bad_arguments_are_refused() -> None:
    scores, no_scores = [np.array([1.0])], [np.empty(0)]
    for sides, cohorts in ((scores, no_scores), (no_scores, scores)):
        with pytest.raises(ValueError, match="candidates and a cohort"):
            set_p_value(sides, cohorts, seed=0)
    for sides, cohorts in (([], []), (scores, scores * 2)):
        with pytest.raises(ValueError, match="as many cohorts"):
            set_p_value(sides, cohorts, seed=0)
    with pytest.raises(ValueError, match="not a number"):
        set_p_value(scores, [np.array([np.nan])], seed=0)
    with pytest.raises(ValueError, match="needs permutations"):
        set_p_value(scores, scores, seed=0, permutations=0)
