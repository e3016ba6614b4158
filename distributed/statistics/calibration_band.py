"""Where the p-values of candidates lie if none of them is a member."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln, gammaln

from distributed.statistics.similarity import Floats


@dataclass(frozen=True)
class Band:
    """Each float64 (k,). expected: of the uniform distribution; low, high: what `confidence` lies between."""

    expected: Floats
    low: Floats
    high: Floats


def calibration_band(ranks: NDArray[np.int64], m: int, n: int, *, confidence: float = 0.95) -> Band:
    """The ranks-th smallest (from 1) p-values of m candidates who are exchangeable with n in the cohort.

    The cohort's number at or above the i-th largest of m candidates is beta-binomial (n, i, m + 1 - i), since
    the candidates share the cohort: their p-values vary together. Pointwise. Raises ValueError for a rank
    outside 1 … m, or an empty cohort.
    """
    if n < 1 or not len(ranks) or ranks.min() < 1 or ranks.max() > m:
        raise ValueError(f"ranks lie between 1 and {m}, and a cohort has at least one identity, not {n}")
    tails = [(1 - confidence) / 2, (1 + confidence) / 2]
    counts = np.array([_quantiles(int(rank), m, n, tails) for rank in ranks])
    p = (1 + counts) / (n + 1)
    return Band(ranks / (m + 1), p[:, 0], p[:, 1])


def _quantiles(rank: int, m: int, n: int, levels: list[float]) -> NDArray[np.int64]:
    k = np.arange(n + 1)
    choose = gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)
    log_mass = choose + betaln(k + rank, n - k + m + 1 - rank) - betaln(rank, m + 1 - rank)
    mass = np.cumsum(np.exp(log_mass))
    return np.searchsorted(mass / mass[-1], levels)
