"""How many of the flagged may be false: under any dependence, and for any threshold chosen afterwards."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.stats import false_discovery_control

from distributed.statistics.calibration import Q_DECIMALS, beta_binomial
from distributed.statistics.similarity import Floats, Integers

DRAWS = 10_000
"""Of the urn, from a fixed seed: a bound holds with its confidence over these draws too."""
RANKS = 48
"""Order statistics whose law bounds are made from, evenly spaced by their logarithm."""


def benjamini_yekutieli(p: Floats) -> Floats:
    """Q-values, float64 (m,), that hold under any dependence, rounded to Q_DECIMALS.

    Benjamini and Yekutieli 2001, Ann. Statist. 29(4), theorem 1.3: Benjamini and Hochberg's, times
    1 + 1/2 + … + 1/m.
    """
    if not len(p):
        return np.empty(0)
    q: Floats = np.round(false_discovery_control(p, method="by"), Q_DECIMALS)
    return q


def fdp_bounds(p: Floats, cohort: Integers, group: Integers, confidence: float = 0.95) -> Floats:
    """Upper bounds on the false discovery proportion of {i: p_i <= p_j}, one for each j, float64 (m,).

    p: (m,), conformal p-values; group: int64 (m,), of those calibrated together; cohort: int64, the number of
    cohort identities of each group. Promise: with probability at least `confidence`, all m bounds hold at
    once. So they also hold for the one threshold that an auditor picks after seeing all p-values. A bound of
    0.2 for a set of 10 reads: at most 2 of these 10 are no members. Not promised: that a given person of the
    set is a member, that the bounds rise with p, or that they hold together for several scores, or for
    nights.

    Assumption: in each group the candidates who are no members are exchangeable with the cohort. Then the law
    of their p-values together is known, that of a Pólya urn (Gazin, Blanchard and Roquain 2024, Transductive
    conformal inference with adaptive scores, AISTATS, proposition 2.1), and so are lower limits t_k that all
    of their k-th smallest p-values exceed together with that probability, whatever the other candidates do.
    Of a set R then at most min over k of k − 1 + #{i in R: p_i > t_k} are false (Blanchard, Neuvial and
    Roquain 2020, Ann. Statist. 48(3), the interpolation bound). Several groups share the error evenly, and
    their counts add up. Raises ValueError if a p-value lies outside [0, 1], or confidence outside (0, 1).
    """
    if not 0 < confidence < 1:
        raise ValueError(f"a confidence lies between 0 and 1, not {confidence}")
    if not ((p >= 0) & (p <= 1)).all():
        raise ValueError("p-values lie between 0 and 1")
    thresholds, place = np.unique(p, return_inverse=True)
    false = np.zeros(len(thresholds))
    known = np.unique(group)
    for index in known:
        own = np.sort(p[group == index])
        limits = null_limits(len(own), int(cohort[index]), (1 - confidence) / len(known))
        false += _most_false(thresholds, own, *limits)
    size = np.searchsorted(np.sort(p), thresholds, side="right")
    true = np.maximum.accumulate(size - false)
    bounds: Floats = ((size - true) / np.maximum(size, 1))[place]
    return bounds


def _most_false(thresholds: Floats, own: Floats, ranks: Integers, limits: Floats) -> Floats:
    """The most that are false of own p-values, rising, up to each of the thresholds."""
    most = np.searchsorted(own, thresholds, side="right").astype(np.float64)
    counts = most.copy()
    for rank, limit in zip(ranks, limits, strict=True):
        below = np.searchsorted(own, limit, side="right")
        most = np.minimum(most, np.maximum(counts - below, 0) + rank - 1)
    return most


@lru_cache(maxsize=64)
def null_limits(m: int, n: int, error: float) -> tuple[Integers, Floats]:
    """Ranks k, and limits t_k that the k-th smallest p-value of m non-members exceeds, for all k together.

    n: the cohort. The chance that any does not is at most `error`; with fewer than m non-members it is less.
    The cohort's number at or above the k-th largest non-member is beta-binomial (n, k, m + 1 − k); t_k is its
    quantile at a level that is the same for all k, and that DRAWS draws of all of them together give.
    """
    ranks = np.unique(np.geomspace(1, m, min(m, RANKS)).round().astype(np.int64))
    cumulative = np.stack([_cumulative(int(rank), m, n) for rank in ranks])
    counts = _drawn_counts(ranks, m, n)
    smallest = np.sort(cumulative[np.arange(len(ranks)), counts].min(axis=1))
    place = int(np.floor(error * (DRAWS + 1)))
    level = smallest[place - 1] if place else 0.0
    passed = (cumulative < level).sum(axis=1)
    return ranks, passed / (n + 1)


def _cumulative(rank: int, m: int, n: int) -> Floats:
    """The distribution function of the cohort's number at or above the rank-th largest of m, (n + 1,)."""
    cumulative: Floats = np.cumsum(beta_binomial(n, rank, m + 1 - rank))
    return cumulative


def _drawn_counts(ranks: Integers, m: int, n: int) -> Integers:
    """How many of a cohort of n lie at or above the largest of m, by rank: int64 (DRAWS, ranks)."""
    random = np.random.default_rng(0)
    steps = np.diff(ranks, prepend=0, append=m + 1)
    sums = np.cumsum(random.gamma(steps, size=(DRAWS, len(steps))), axis=1)
    beyond = sums[:, :-1] / sums[:, -1:]
    counts = np.zeros((DRAWS, len(ranks)), np.int64)
    before, left = np.zeros(DRAWS), np.full(DRAWS, n)
    for place in range(len(ranks)):
        share = (beyond[:, place] - before) / (1 - before)
        drawn = random.binomial(left, np.clip(share, 0.0, 1.0))
        left, before = left - drawn, beyond[:, place]
        counts[:, place] = n - left
    return counts
