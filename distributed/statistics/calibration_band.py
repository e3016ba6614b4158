"""Where the p-values of candidates lie if none of them is a member."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from distributed.statistics.calibration import beta_binomial
from distributed.statistics.similarity import Floats


@dataclass(frozen=True)
class Band:
    """Each float64 (k,). expected: of the uniform distribution; low, high: what 95 % lies between."""

    expected: Floats
    low: Floats
    high: Floats


def calibration_band(ranks: NDArray[np.int64], m: int, n: int) -> Band:
    """The ranks-th smallest (from 1) p-values of m candidates who are exchangeable with n in the cohort.

    The cohort's number at or above the i-th largest of m candidates is beta-binomial (n, i, m + 1 - i), since
    the candidates share the cohort: their p-values vary together. Pointwise. Raises ValueError for a rank
    outside 1 … m, or an empty cohort.
    """
    if n < 1 or not len(ranks) or ranks.min() < 1 or ranks.max() > m:
        raise ValueError(f"ranks lie between 1 and {m}, and a cohort has at least one identity, not {n}")
    counts = np.array([_quantiles(int(rank), m, n) for rank in ranks])
    p = (1 + counts) / (n + 1)
    return Band(ranks / (m + 1), p[:, 0], p[:, 1])


def _quantiles(rank: int, m: int, n: int) -> NDArray[np.int64]:
    mass = np.cumsum(beta_binomial(n, rank, m + 1 - rank))
    return np.searchsorted(mass / mass[-1], [(1 - 0.95) / 2, (1 + 0.95) / 2])
