"""How often samples of one generator match each other, drawn without templates."""

from __future__ import annotations

import numpy as np

from distributed.statistics.people.population import MatchRates
from distributed.statistics.similarity import Floats, Integers


def collisions(random: np.random.Generator, p: Floats, n: int, tmr: float, fmr: float) -> Integers:
    """Each sample's matches, int64 (n,), among n samples of identities of probabilities p, float (m,).

    tmr, fmr: true and false match rate of a pair. No template is made.
    """
    identity = np.sort(random.choice(len(p), n, p=p))
    counts = np.zeros(n, dtype=np.int64)
    for step in range(1, n):
        first = np.flatnonzero(identity[:-step] == identity[step:])
        if not len(first):
            break
        first = first[random.random(len(first)) < tmr]
        counts[first] += 1
        counts[first + step] += 1
    for _ in range(random.poisson(fmr * n * (n - 1) / 2)):
        counts[random.choice(n, 2, replace=False)] += 1
    return counts


def cohort_rates(random: np.random.Generator, people: int, tmr: float) -> tuple[float, MatchRates]:
    """The true FMR of a threshold just above all pairs of a cohort of four photos each, and what it shows."""
    pairs = 8 * people * (people - 1)
    shares = random.binomial(6, tmr, people) / 6
    estimate, variance = float(shares.mean()), float(shares.var(ddof=1)) / people
    effective = estimate * (1 - estimate) / variance
    return random.exponential(1 / pairs), MatchRates(0.5, 1 / pairs, pairs, estimate, effective, 0.0, people)
