"""How many of the flagged may be false: under any dependence, and for any threshold chosen afterwards."""

from __future__ import annotations

import numpy as np
from scipy.stats import false_discovery_control

from distributed.statistics.calibration import Q_DECIMALS
from distributed.statistics.similarity import Floats, Integers

# A product that equals a bound on paper must do so in float64 too. Counts reach 10,000, where float64 is
# good to 1e-11; p-values with steps of 1/(n + 1) keep products apart by far more than 1e-9.
STEP_DECIMALS = 9


def benjamini_yekutieli(p: Floats) -> Floats:
    """Q-values, float64 (m,), that hold under any dependence, rounded to Q_DECIMALS.

    Benjamini and Yekutieli 2001, Ann. Statist. 29(4), theorem 1.3: Benjamini and Hochberg's, times
    1 + 1/2 + … + 1/m.
    """
    if not len(p):
        return np.empty(0)
    q: Floats = np.round(false_discovery_control(p, method="by"), Q_DECIMALS)
    return q


def fdp_bounds(p: Floats, confidence: float = 0.95) -> Floats:
    """Upper bounds on the false discovery proportion of {i: p_i <= p_j}, one for each j, float64 (m,).

    Promise: with probability at least `confidence`, all m bounds hold at once. So they also hold for the one
    threshold that an auditor picks after seeing all p-values p (m,). A bound of 0.2 for a set of 10 reads: at
    most 2 of these 10 are no members. Not promised: that a given person of the set is a member, that the
    bounds rise with p, or that they still hold together for several scores, or for nights, one after another.

    Closed testing with Simes tests: Goeman and Solari 2011, Statist. Sci. 26(4), by the shortcut of Goeman,
    Meijer, Krebs and Solari 2019, Biometrika 106(4): at least max over u >= 1 of
    1 − u + #{i in R: h·p_i <= u·a} of a set R are true discoveries, with a = 1 − confidence and h from
    `_largest_unrejected`. Assumption: Simes' inequality for the non-members' p-values. It holds under
    positive regression dependence, which conformal p-values sharing a cohort have (Bates et al. 2023, Testing
    for Outliers with Conformal p-values, Ann. Statist. 51(1)).
    Raises ValueError if a p-value lies outside [0, 1], or confidence outside (0, 1).
    """
    if not 0 < confidence < 1:
        raise ValueError(f"a confidence lies between 0 and 1, not {confidence}")
    if not ((p >= 0) & (p <= 1)).all():
        raise ValueError("p-values lie between 0 and 1")
    ordered, alpha = np.sort(p), round(1 - confidence, Q_DECIMALS)
    first = np.maximum(1, _smallest_multiple(_largest_unrejected(ordered, alpha), ordered, alpha))
    count = np.arange(1, len(p) + 1)
    true_discoveries = np.maximum.accumulate(np.maximum(0, count - first + 1))
    size = np.searchsorted(ordered, p, side="right")
    bounds: Floats = (size - true_discoveries[size - 1]) / size
    return bounds


def _largest_unrejected(ordered: Floats, alpha: float) -> int:
    """h: the largest i for which Simes' test at alpha does not reject the i largest p-values.

    If it does not reject the i largest, it does not reject the i − 1 largest either, hence the bisection.
    """
    low, high = 0, len(ordered)
    while low < high:
        i = (low + high + 1) // 2
        rejected = _smallest_multiple(i, ordered[len(ordered) - i :], alpha) <= np.arange(1, i + 1)
        low, high = (low, i - 1) if rejected.any() else (i, high)
    return low


def _smallest_multiple(i: int, p: Floats, alpha: float) -> Integers:
    """The smallest integers u with i·p <= u·alpha, int64 of p's shape."""
    return np.ceil(np.round(i * p / alpha, STEP_DECIMALS)).astype(np.int64)
