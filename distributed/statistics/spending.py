"""A false-discovery budget for auditing the same people night after night, under any dependence of nights."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from distributed.statistics.calibration import Q_DECIMALS, benjamini_hochberg
from distributed.statistics.similarity import Floats


def night_weight(t: int) -> float:
    """The share 1/(t(t + 1)) of the budget that night t = 1, 2, … may spend; all shares sum to 1.

    A ledger keeps, for each candidate, the sum over nights of night_weight(t) · night_e_values(p, alpha, t),
    and flags by `e_benjamini_hochberg`. Raises ValueError if t < 1.
    """
    return 1 / (_night(t) * (t + 1))


def night_level(t: int, alpha: float) -> float:
    """The level alpha/(t + 1) of Benjamini-Hochberg on night t: alpha/2, alpha/3, …

    It is fixed before the nights are seen, as it must be. It falls so that nobody is locked out: one of k
    people who are flagged every night from night s on gathers 1/s + 1/(s + 1) + … times what the ledger asks
    of k people, and so is flagged by it on night s if s = 1, else by about night 2.7·s. At a level of alpha/2
    on all nights, somebody first flagged on night 2 could never gather enough alone. What limits the late
    nights is the cohort: to flag k of m candidates on night t takes n >= m·(t + 1)/(alpha·k) − 1, and so
    2m/(alpha·k) − 1 on the first. A new version of the generator should therefore get a new ledger, which
    starts at night 1. Raises ValueError if t < 1 or alpha lies outside (0, 1).
    """
    if not 0 < alpha < 1:
        raise ValueError(f"a false discovery rate lies between 0 and 1, not {alpha}")
    return alpha / (_night(t) + 1)


def night_e_values(p: Floats, alpha: float, t: int = 1) -> Floats:
    """Compound e-values of night t from its conformal p-values p (m,), float64 (m,).

    Benjamini-Hochberg at the level a = night_level(t, alpha) flags R of the m; these get m/(a·R), others 0.
    The sum over non-members is m/a times the false discovery proportion, so its expectation is at most m,
    which is what makes e-values compound: Ignatiadis, Wang and Ramdas 2024, arXiv 2409.19812; for knockoffs
    Ren and Barber 2024, JRSS B 86(1). It assumes what Benjamini-Hochberg assumes of that night alone.
    Raises ValueError if t < 1 or alpha lies outside (0, 1).
    """
    level = night_level(t, alpha)
    flagged = benjamini_hochberg(p) <= round(level, Q_DECIMALS)
    return np.where(flagged, len(p) / (level * max(1, int(flagged.sum()))), 0.0)


def e_benjamini_hochberg(e: Floats, alpha: float) -> NDArray[np.bool_]:
    """Who is flagged by compound e-values e (m,), bool (m,): the k largest, all of which are >= m/(alpha·k).

    k is as large as can be: Wang and Ramdas 2022, JRSS B 84(3), False discovery rate control with e-values.
    It is Benjamini-Hochberg on 1/e. For a ledger's sums E after any number of nights the promise is this. A
    flagged person has E >= m/(alpha·k), so the false discovery proportion is at most alpha/m times the sum of
    E over the people who are never members. E only grows, and expectations add up whatever the dependence of
    nights, so the limit of that sum has expectation at most m. Hence the largest false discovery proportion
    of all nights has expectation at most alpha: the rate holds on every night and at any stopping time. A
    flag is never taken back. If nobody is ever a member, any flag ever has probability at most alpha.

    Not promised: that it holds if earlier results decide who is a candidate or in the cohort, or what the
    audit is. Nor that the rate of each of several ledgers (versions, recognisers) is that of all together; it
    is if their levels, fixed beforehand, sum to alpha.

    Where candidates come and go, for reasons other than their results, let a ledger sum night_weight(t)·e/m
    with m of night t, count 0 for absence, and give len(sums)·sums here: m cancels, and all of this holds.
    Raises ValueError if an e-value is negative or NaN, or alpha lies outside (0, 1).
    """
    if not 0 < alpha < 1:
        raise ValueError(f"a false discovery rate lies between 0 and 1, not {alpha}")
    if not (e >= 0).all():
        raise ValueError("e-values are not negative")
    flagged: NDArray[np.bool_] = benjamini_hochberg(1 / np.maximum(e, 1.0)) <= round(alpha, Q_DECIMALS)
    return flagged


def _night(t: int) -> int:
    if t < 1:
        raise ValueError(f"nights are counted from 1, not {t}")
    return t
