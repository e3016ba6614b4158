"""P-values from a cohort of identities outside the training data, and the power that its size gives."""

from __future__ import annotations

from fractions import Fraction
from math import ceil

import numpy as np
from scipy.special import betaln, gammaln
from scipy.stats import false_discovery_control

from distributed.statistics.similarity import Floats, Integers

# A q-value that equals the FDR on paper must do so in float64 too, or a cohort of just the planned size
# could flag nobody. P-values have steps of 1/(n + 1), far wider than this.
Q_DECIMALS = 12


def conformal_p_values(scores: Floats, cohort: Floats) -> Floats:
    """P-values (1 + #{cohort >= s}) / (n + 1), float64 (m,), for scores (m,) and cohort scores (n,).

    Valid for an identity that is exchangeable with the cohort's: P(p <= t) <= t. They share the cohort and
    so depend on one another, in the way that Benjamini-Hochberg allows (Bates et al. 2023, Testing for
    Outliers with Conformal p-values, Ann. Statist. 51(1)). Raises ValueError if a score is NaN.
    """
    return (1 + _count_at_least(scores, cohort)) / (len(cohort) + 1)


def cohort_p_values(cohort: Floats) -> Floats:
    """Leave-one-out p-values of the cohort (n,), each against the n − 1 others. For diagnostics."""
    return _count_at_least(cohort, cohort) / len(cohort)


def _count_at_least(scores: Floats, cohort: Floats) -> Floats:
    if np.isnan(scores).any() or np.isnan(cohort).any():
        raise ValueError("a score is not a number")
    smaller = np.searchsorted(np.sort(cohort), scores, side="left")
    return (len(cohort) - smaller).astype(np.float64)


def benjamini_hochberg(p: Floats) -> Floats:
    """Q-values, float64 (m,): Benjamini and Hochberg 1995, JRSS B 57(1), rounded to Q_DECIMALS."""
    if not len(p):
        return np.empty(0)
    q: Floats = np.round(false_discovery_control(p, method="bh"), Q_DECIMALS)
    return q


def beta_binomial(n: int, a: int, b: int) -> Floats:
    """The probabilities of 0 to n, float64 (n + 1,): of a binomial number of n whose chance is Beta(a, b)."""
    k = np.arange(n + 1)
    choose = gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)
    mass: Floats = np.exp(choose + betaln(k + a, n - k + b) - betaln(a, b))
    return mass


def largest_rejected(p: Floats, counts: Integers, fdr: float) -> float | None:
    """The largest of p-values (r,) whose q-value by `benjamini_hochberg` is at most fdr, if any.

    counts: int64 (r,), how often there is each one, 0 or more. Only those at fdr or below are sorted.
    """
    limit = round(fdr, Q_DECIMALS)
    # A q-value is no smaller than its p-value, but for the rounding of either.
    small = np.flatnonzero((p <= limit + 10.0**-Q_DECIMALS) & (counts > 0))
    small = small[np.argsort(p[small])]
    rank = np.cumsum(counts[small])
    rejected = np.flatnonzero(np.round(p[small] * (counts.sum() / rank), Q_DECIMALS) <= limit)
    return float(p[small[rejected[-1]]]) if len(rejected) else None


def smallest_p_value(n: int) -> float:
    """The floor that n cohort identities set to any p-value."""
    return 1 / (n + 1)


def cohort_needed(m: int, k: int, fdr: float) -> int:
    """The smallest cohort with which k of m candidates, all at the floor, are flagged: n >= m/(fdr·k) − 1."""
    if not (1 <= k <= m and 0 < fdr < 1):
        raise ValueError(f"cannot plan to flag {k} of {m} candidates at FDR {fdr}")
    return ceil(m / (_decimal(fdr) * k)) - 1


def flaggable_count(m: int, n: int, fdr: float) -> int | None:
    """The smallest k for which k of m candidates at the floor are flagged with a cohort of n, if any."""
    k = ceil(m / (_decimal(fdr) * (n + 1)))
    return k if 0 < k <= m else None


def _decimal(fdr: float) -> Fraction:
    """The FDR as it was written: 0.05 is 1/20, not the float64 next to it."""
    return Fraction(str(fdr))
