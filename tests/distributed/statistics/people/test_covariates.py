"""What properties of people explain, and scores that are held against it."""

from __future__ import annotations

import numpy as np
import pytest

from distributed.statistics.people.covariates import (
    adjustment,
    explained,
    number_columns,
    separators,
    text_columns,
)

PEOPLE = 2000


def test_adjusted_scores_have_nearly_the_same_law_in_every_group() -> None:
    """Not quite: scores are clipped before the model is fitted, which bends that of the wider group."""
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


@pytest.mark.parametrize(("of_cohort", "expected"), [(0.3, 0.06), (0.1, 0.12), (0.02, 0.46)])
def test_a_group_that_is_rare_and_far_off_is_taken_out_in_part_only(
    of_cohort: float, expected: float
) -> None:
    """The figures of docs/method.md: 70 % of the candidates are in it, and nobody leaks."""
    assert np.mean([_small_p_values(of_cohort, seed) for seed in range(100)]) == pytest.approx(
        expected, abs=0.02
    )


def _small_p_values(of_cohort: float, seed: int, candidates: int = 40, cohort: int = 800) -> float:
    """The share of candidates whose p-value is at most 0.05 by adjusted scores."""
    random = np.random.default_rng(seed)
    inside = random.random(candidates + cohort) < np.repeat([0.7, of_cohort], [candidates, cohort])
    scores = random.standard_normal(candidates + cohort) + 3.0 * inside
    adjusted = adjustment(scores, [text_columns(["b" if each else "a" for each in inside])]).of(scores)
    higher = (adjusted[None, candidates:] >= adjusted[:candidates, None]).sum(axis=1)
    return float(((1 + higher) / (1 + cohort) <= 0.05).mean())
