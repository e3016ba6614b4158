"""Are two samples that match a third one of one person? If not, people cannot be counted by matches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta

from distributed.statistics.population import MatchRates
from distributed.statistics.similarity import Integers, Pairs, Singles, Templates, canonical

DRAWS = 1000
CENTRES_AT_ONCE = 64
SEED = 0


@dataclass(frozen=True)
class Transitivity:
    """How often A matches C, of samples where both match B.

    closure: the share of such triples drawn; high: its upper 97.5 % limit (Clopper-Pearson). least: below
    this it is too small for samples of people who match as the cohort's photos do.
    """

    closure: float
    high: float
    least: float

    @property
    def fails(self) -> bool:
        """Matches are clearly not transitive."""
        return self.high < self.least


def transitivity(templates: NDArray[Any], counts: Integers, rates: MatchRates) -> Transitivity | None:
    """Of samples' templates (n, d) with counts from `match_counts`; None if no sample matches two others.

    DRAWS triples, with replacement, each equally likely; they count as no more than there are middle samples.
    If A, B and C show one person, A and C match with the person's own TMR. As one person may be in most
    triples, `least` is the lower 97.5 % limit of one person's TMR, by its spread over people, less the
    triples that the FMR leads one to expect to hold a false match.
    """
    weights = counts * (counts - 1.0)
    if not weights.sum():
        return None
    random = np.random.default_rng(SEED)
    centres = np.sort(random.choice(len(counts), DRAWS, p=weights / weights.sum()))
    exact = Templates.of(templates)
    closed = sum(
        int(_closed(exact, centres[start : start + CENTRES_AT_ONCE], rates.threshold, random).sum())
        for start in range(0, DRAWS, CENTRES_AT_ONCE)
    )
    closure, effective = closed / DRAWS, min(DRAWS, int((counts > 1).sum()))
    high = float(beta.ppf(0.975, closure * effective + 1, (1 - closure) * effective)) if closure < 1 else 1.0
    false = min(1.0, 2 * rates.fmr * (len(counts) - 1) * float(counts.sum() / weights.sum()))
    return Transitivity(closure, high, _least_rate(rates) * (1 - false))


def _closed(
    samples: Templates, centres: Integers, threshold: float, random: np.random.Generator
) -> NDArray[np.bool_]:
    """For each centre, whether two of the samples that match it, drawn at random, match each other."""
    products = samples.rounded[centres] @ samples.rounded.T
    rows = zip(products, centres, strict=True)
    ends = np.array([_two(row, centre, threshold, random) for row, centre in rows])
    pairs = Pairs(ends[:, 0], ends[:, 1], np.zeros(len(ends), np.float32))
    similar: NDArray[np.bool_] = canonical(samples, samples, pairs).astype(np.float64) >= threshold
    return similar


def _two(products: Singles, centre: int, threshold: float, random: np.random.Generator) -> Integers:
    """Two samples that match the centre, int64 (2,)."""
    near = np.flatnonzero(products >= threshold)
    near = near[near != centre]
    if len(near) < 2:
        # Rounding puts a match just below the threshold: the two nearest are the ones that match.
        order = np.argsort(-products, kind="stable")
        near = order[order != centre][:2]
    return np.asarray(random.choice(near, 2, replace=False), dtype=np.int64)


def _least_rate(rates: MatchRates) -> float:
    """The lower 97.5 % limit of one person's TMR: a beta by the mean's error and the spread over people."""
    total = rates.tmr_comparisons + 1
    mean = (rates.tmr * rates.tmr_comparisons + 0.5) / total
    variance = mean * (1 - mean) / (total + 1) + rates.tmr_spread
    size = mean * (1 - mean) / variance - 1
    return float(beta.ppf(0.025, mean * size, (1 - mean) * size)) if size > 0 else 0.0
