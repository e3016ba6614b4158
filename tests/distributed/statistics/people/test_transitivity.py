from __future__ import annotations

import numpy as np
import pytest

from distributed.statistics.people.population import match_counts, match_rates
from distributed.statistics.people.transitivity import Transitivity, transitivity
from distributed.statistics.similarity import Singles
from tests.support.template_worlds import unit

D = 64


def photos(random: np.random.Generator, centres: Singles, per_person: int) -> Singles:
    noise = random.standard_normal((len(centres), per_person, D))
    return unit((centres[:, None] + 0.7 * noise).reshape(-1, D).astype(np.float32))


def judged(
    random: np.random.Generator, samples: Singles, threshold: float | None = None
) -> Transitivity | None:
    cohort = photos(random, random.standard_normal((150, D)).astype(np.float32), 4)
    rates = match_rates(cohort, np.repeat(np.arange(150), 4), threshold)
    return transitivity(samples, match_counts(samples, rates.threshold), rates)


def test_samples_of_people_are_transitive() -> None:
    random = np.random.default_rng(0)
    centres = random.standard_normal((30, D)).astype(np.float32)
    result = judged(random, photos(random, centres[random.integers(0, 30, 1500)], 1))
    assert result is not None and not result.fails and result.closure > 0.9


def test_mixtures_of_people_are_not() -> None:
    """Each sample mixes two of 30 people: it matches others that share one of them, who do not match."""
    random = np.random.default_rng(0)
    centres = random.standard_normal((30, D))
    pairs = random.integers(0, 30, (1500, 2))
    mixed = (centres[pairs[:, 0]] + centres[pairs[:, 1]]) / np.sqrt(2)
    result = judged(random, unit((mixed + 0.3 * random.standard_normal((1500, D))).astype(np.float32)), 0.4)
    assert result is not None and result.fails and result.closure < result.least


def test_without_three_samples_that_match_nothing_is_said() -> None:
    random = np.random.default_rng(0)
    assert judged(random, photos(random, random.standard_normal((20, D)).astype(np.float32), 1)) is None


def test_the_closure_is_that_of_all_triples() -> None:
    random = np.random.default_rng(3)
    samples = unit(random.standard_normal((60, 4)).astype(np.float32))
    matches = samples @ samples.T >= 0.5
    np.fill_diagonal(matches, False)
    rows = matches.astype(np.int64)
    wedges = (rows.sum(axis=1) * (rows.sum(axis=1) - 1)).sum()
    exact = np.trace(rows @ rows @ rows) / wedges
    cohort = photos(random, random.standard_normal((20, D)).astype(np.float32), 2)
    rates = match_rates(cohort, np.repeat(np.arange(20), 2), 0.5)
    result = transitivity(samples, match_counts(samples, 0.5), rates)
    assert result is not None and result.closure == pytest.approx(exact, abs=0.06)
