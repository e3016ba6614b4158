"""Which p-values are flagged at a false-discovery rate, and which others would have been."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import false_discovery_control

from distributed.statistics.calibration import Q_DECIMALS, benjamini_hochberg, beta_binomial
from distributed.statistics.discoveries import benjamini_yekutieli
from distributed.statistics.similarity import Floats

Correction = Literal["bh", "by", "storey"]
"""bh: Benjamini and Hochberg 1995. by: Benjamini and Yekutieli 2001, under any dependence. storey: the first
at fdr ÷ `null_proportion`, for conformal p-values of one cohort."""


def q_values(p: Floats, floor: Floats, correction: Correction) -> Floats:
    """float64 (m,), rounded to Q_DECIMALS. p: conformal p-values (m,); floor: (m,), the smallest they can be.

    Raises ValueError if storey is asked for and floors differ: then they are of several cohorts.
    """
    if correction == "by":
        return benjamini_yekutieli(p)
    if correction == "bh" or not len(p):
        return benjamini_hochberg(p)
    # Rounded once, at the end: what equals the FDR on paper must do so here.
    adapted: Floats = np.minimum(false_discovery_control(p) * null_proportion(p, floor), 1.0)
    return adapted.round(Q_DECIMALS)


def null_proportion(p: Floats, floor: Floats, moved: int = 0) -> float:
    """The estimated share of candidates who are no members, times `storey_cost`: what p-values are scaled by.

    min(1, (1 + #{p >= λ}) / (m (1 − λ))): Storey 2002, JRSS B 64(3), with λ = K/(n + 1), K = ⌈(n + 1)/2⌉; n:
    the cohort, by its floor 1/(n + 1). moved: so many of those at λ or above count as below it.
    """
    steps = _steps(floor)
    half = -(-steps // 2)
    above = int((np.round(p * steps) >= half).sum()) - moved
    estimate = (1 + above) / (len(p) * (1 - half / steps))
    return min(1.0, estimate) * storey_cost(len(p), steps - 1)


@lru_cache(maxsize=256)
def storey_cost(m: int, n: int) -> float:
    """What it costs never to estimate more than 1: a factor a little above 1, by numbers of people alone.

    Benjamini and Hochberg's procedure at fdr/G controls the rate for conformal p-values of one cohort and
    equivariant scores if G does not fall in any p-value and m₀ E[1/(m G)] <= 1, G being taken with one
    non-member moved to the top, and m₀ the number of non-members (Marandon, Lei, Mary and Roquain 2024, Ann.
    Statist. 52(1), theorem 3.4). Then #{p >= λ} of the m − 1 others is beta-binomial (m − 1, n + 2 − K, K),
    and the factor is the mean of max(1, 1/estimate), which is largest where nobody is a member.
    """
    half = -(-(n + 1) // 2)
    mass = beta_binomial(m - 1, n + 2 - half, half)
    inverse = m * (1 - half / (n + 1)) / np.arange(1, m + 1)
    return float((mass * np.maximum(1.0, inverse)).sum() / mass.sum())


def _steps(floor: Floats) -> int:
    if np.ptp(floor) > 0:
        raise ValueError("storey needs one cohort, and p-values of one floor")
    return round(1 / float(floor[0]))


def _is_above(p: Floats, floor: Floats) -> NDArray[np.bool_]:
    steps = _steps(floor)
    above: NDArray[np.bool_] = np.round(p * steps) >= -(-steps // 2)
    return above


def had_power(p: Floats, floor: Floats, fdr: float, correction: Correction) -> NDArray[np.bool_]:
    """Which candidates would be flagged with their floor in place of their own p-value, bool (m,)."""
    if not len(p):
        return np.ones(0, dtype=np.bool_)
    powerful = _had_power(p, floor, fdr, _scale(p, floor, correction))
    if correction == "storey" and (above := _is_above(p, floor)).any():
        # With such a p-value at its floor the estimate is smaller.
        moved = _had_power(p, floor, fdr, _scale(p, floor, correction, moved=1))
        powerful = np.where(above, moved, powerful)
    return powerful


def _had_power(p: Floats, floor: Floats, fdr: float, scale: Floats) -> NDArray[np.bool_]:
    """Let N_k be the number of p-values within the k-th of m rising bounds. With p_j lowered to its floor, j
    is flagged if for some k its floor is within the k-th bound and k p-values are: N_k if its own was, else
    N_k + 1."""
    k = np.arange(1, len(p) + 1)
    # The first bound that each p-value and each floor is within, 0-based; m if none.
    first_own, first_floor = (_first_bound(values, scale, fdr) for values in (p, floor))
    within = np.searchsorted(np.sort(first_own), k - 1, side="right")
    already, one_short = within >= k, within >= k - 1
    reached = first_floor <= np.flatnonzero(already).max(initial=-1)
    powerful: NDArray[np.bool_] = reached | (_next_true(one_short)[first_floor] < first_own)
    return powerful


def flagging_p_values(p: Floats, floor: Floats, fdr: float, correction: Correction) -> Floats:
    """For each candidate the largest p-value with which it would be flagged, the others' being as they are.

    float64 (m,), NaN for those who are flagged. By storey, one below λ for those who are at λ or above.
    """
    if not len(p):
        return np.empty(0)
    bounds = _flagging(p, fdr, _scale(p, floor, correction))
    if correction == "storey" and (above := _is_above(p, floor)).any():
        steps = _steps(floor)
        largest = (-(-steps // 2) - 1) / steps
        # NaN: with the smaller estimate their own p-value, and so any smaller one, would be enough.
        moved = np.fmin(_flagging(p, fdr, _scale(p, floor, correction, moved=1)), largest)
        bounds = np.where(above & ~np.isnan(bounds), moved, bounds)
    return bounds


def _flagging(p: Floats, fdr: float, scale: Floats) -> Floats:
    """With N_k p-values within the k-th bound, j among them or not, k counts if the others within it are k −
    1 or more; of one who is not flagged these are N_k for the bounds below j's own p-value, and fewer than k
    − 1 for all others."""
    k = np.arange(1, len(p) + 1)
    first = _first_bound(p, scale, fdr)
    within = np.searchsorted(np.sort(first), k - 1, side="right")
    counting = np.append(0, np.maximum.accumulate(np.where(within >= k - 1, k, 0)))
    flagged = first < np.flatnonzero(within >= k).max(initial=-1) + 1
    largest = round(fdr, Q_DECIMALS) / scale[np.maximum(counting[first], 1) - 1]
    return np.where(flagged, np.nan, largest)


def _scale(p: Floats, floor: Floats, correction: Correction, moved: int = 0) -> Floats:
    """What the k-th smallest of m p-values is multiplied by, float64 (m,)."""
    m = len(p)
    scale: Floats = m / np.arange(1, m + 1)
    if correction == "by":
        return scale * _harmonic(m)
    return scale * null_proportion(p, floor, moved) if correction == "storey" else scale


def level(m: int, fdr: float, correction: Correction) -> float:
    """The level at which Benjamini-Hochberg flags as the correction does at `fdr`, of m candidates.

    By storey this follows from the p-values; before they are known, nobody is taken for a member.
    """
    return fdr / _harmonic(m) if correction == "by" and m else fdr


def _first_bound(values: Floats, scale: Floats, fdr: float) -> NDArray[np.int64]:
    """For each value the smallest k with value · scale[k] <= fdr, rounded as q-values are; scale falls."""
    limit = round(fdr, Q_DECIMALS)
    low = np.zeros(len(values), dtype=np.int64)
    high = np.full(len(values), len(scale), dtype=np.int64)
    while (low < high).any():
        middle = (low + high) // 2
        good = np.round(values * scale[np.minimum(middle, len(scale) - 1)], Q_DECIMALS) <= limit
        open_ = low < high
        high = np.where(open_ & good, middle, high)
        low = np.where(open_ & ~good, middle + 1, low)
    return low


def _next_true(flags: NDArray[np.bool_]) -> NDArray[np.int64]:
    """For each index 0 … n the smallest true index at or after it, n if there is none."""
    n = len(flags)
    places = np.append(np.where(flags, np.arange(n), n), n)
    nearest: NDArray[np.int64] = np.minimum.accumulate(places[::-1])[::-1]
    return nearest


def _harmonic(m: int) -> float:
    return float((1 / np.arange(1, m + 1)).sum())
