"""What properties of people explain, and scores that are held against it."""

from __future__ import annotations

import numpy as np
import pytest

from distributed.statistics.people.covariates import (
    HUBER,
    NORMAL_MEDIAN,
    adjustment,
    explained,
    number_columns,
    robustly_fitted,
    separators,
    text_columns,
)

PEOPLE = 2000


def test_adjusted_scores_have_nearly_the_same_law_in_every_group() -> None:
    random = np.random.default_rng(0)
    group = random.random(PEOPLE) < 0.3
    scores = random.standard_normal(PEOPLE) * np.where(group, 2.0, 1.0) + 3.0 * group
    assert (scores[group] <= np.median(scores)).mean() < 0.2
    adjusted = adjustment(scores, [text_columns(["b" if inside else "a" for inside in group])]).of(scores)
    for level in (0.5, 0.9, 0.95):
        limit = np.quantile(adjusted, level)
        assert [(adjusted[side] <= limit).mean() for side in (group, ~group)] == pytest.approx(
            [level, level], abs=0.06
        )


def test_a_few_large_scores_change_little_of_what_is_expected() -> None:
    random = np.random.default_rng(1)
    quality, scores = random.random(PEOPLE), random.standard_normal(PEOPLE)
    plain = adjustment(scores, [number_columns(quality)])
    scores[:40] += 100.0
    bent = adjustment(scores, [number_columns(quality)])
    assert np.abs(bent.expected - plain.expected).max() < 0.2
    assert (bent.of(scores)[:40] > 50).all()


def test_numbers_are_ranked_and_texts_are_categories() -> None:
    assert text_columns(["1990", "unknown", "2010", "2000"]).shape == (4, 4)
    assert text_columns(["x", "y", "x", "z"]).shape == (4, 2)
    assert np.isfinite(number_columns(np.array([np.nan, 1.0, 2.0]))).all()
    assert np.isfinite(number_columns(np.full(3, np.nan))).all()


def test_what_separates_is_named_first_and_noise_explains_nothing() -> None:
    random = np.random.default_rng(2)
    year, noise = random.random(PEOPLE), random.random(PEOPLE)
    predicted = year + 0.3 * random.standard_normal(PEOPLE)
    shares = separators(predicted, {"noise": number_columns(noise), "year": number_columns(year)})
    assert list(shares) == ["year", "noise"]
    assert shares["year"] > 0.4 and shares["noise"] < 0.01
    assert explained(np.ones(5), [number_columns(np.arange(5.0))]) == 0.0


@pytest.mark.parametrize("of_cohort", [0.3, 0.1, 0.02])
def test_a_group_that_is_rare_and_far_off_is_taken_out(of_cohort: float) -> None:
    """The figures of docs/method.md: 70 % of the candidates are in it, and nobody leaks."""
    assert np.mean([_small_p_values(of_cohort, seed) for seed in range(100)]) < 0.06


def test_of_a_rare_group_most_of_whose_people_leak_the_leak_is_taken_out_too() -> None:
    """As docs/method.md says: who is in it, candidates above all, is what it is held against."""
    small = [_small_p_values(0.02, seed, leaking=20) for seed in range(50)]
    assert np.mean(small) < 0.5
    small = [_small_p_values(0.1, seed, leaking=20) for seed in range(50)]
    assert np.mean(small) > 0.5


def test_a_robust_fit_is_where_the_bounded_residuals_balance() -> None:
    """The estimate's own equation: Huber 1964, with the scale of its residuals."""
    random = np.random.default_rng(3)
    design = np.concatenate([np.ones((PEOPLE, 1)), number_columns(random.random(PEOPLE))], axis=1)
    values = random.standard_t(2, PEOPLE) + 3 * design[:, 1]
    residuals = values - robustly_fitted(design, values)
    bound = HUBER * np.median(np.abs(residuals)) / NORMAL_MEDIAN
    assert design.T @ np.clip(residuals, -bound, bound) / PEOPLE == pytest.approx(0, abs=1e-4)
    assert np.abs(design.T @ residuals / PEOPLE).max() > 0.01


@pytest.mark.parametrize("unit", [1e-9, 1e9])
def test_an_adjusted_score_has_no_unit(unit: float) -> None:
    random = np.random.default_rng(4)
    columns, scores = [number_columns(random.random(PEOPLE))], random.standard_normal(PEOPLE)
    plain = adjustment(scores, columns).of(scores)
    other = unit * (scores + 5)
    assert adjustment(other, columns).of(other) == pytest.approx(plain, abs=1e-3)


def test_scores_that_are_mostly_the_same_are_still_told_apart() -> None:
    random = np.random.default_rng(5)
    group, high = random.random(PEOPLE) < 0.3, random.random(PEOPLE) < 0.05
    columns = [text_columns(["b" if inside else "a" for inside in group])]
    scores = np.where(high, 5.0, 0.0)
    adjusted = adjustment(scores, columns).of(scores)
    assert np.isfinite(adjusted).all() and adjusted[high].min() > adjusted[~high].max()
    same = np.full(PEOPLE, 3.0)
    assert np.isfinite(adjustment(same, columns).of(same)).all()


def _small_p_values(
    of_cohort: float, seed: int, candidates: int = 40, cohort: int = 800, leaking: int = 0
) -> float:
    """The share of candidates whose p-value is at most 0.05 by adjusted scores.

    leaking: so many candidates of the group score eight standard deviations higher; the share is then theirs.
    """
    random = np.random.default_rng(seed)
    inside = random.random(candidates + cohort) < np.repeat([0.7, of_cohort], [candidates, cohort])
    scores = random.standard_normal(candidates + cohort) + 3.0 * inside
    members = np.flatnonzero(inside[:candidates])[:leaking]
    scores[members] += 8.0
    adjusted = adjustment(scores, [text_columns(["b" if each else "a" for each in inside])]).of(scores)
    higher = (adjusted[None, candidates:] >= adjusted[:candidates, None]).sum(axis=1)
    small = (1 + higher) / (1 + cohort) <= 0.05
    return float(small[members].mean() if leaking else small.mean())
