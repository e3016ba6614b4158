"""Verdicts: which candidates are flagged, and which could not have been, whatever their evidence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from distributed.statistics.calibration import Q_DECIMALS, benjamini_hochberg, cohort_needed
from distributed.statistics.discoveries import benjamini_yekutieli, fdp_bounds
from distributed.statistics.similarity import Floats
from schemas.run.tables import Verdict

Correction = Literal["bh", "by"]


@dataclass(frozen=True)
class Decision:
    """One candidate's verdict. fdp_bound: see `fdp_bounds`. reason: what it rests on; None if leaked.

    detectable_share: of the samples, from which on the person would have been flagged with a chance of 0.5 or
    more; None unless that is known (`distributed.membership.detectability`) and the verdict is not detected.
    """

    q_value: float
    fdp_bound: float
    verdict: Verdict
    reason: str | None = None
    detectable_share: float | None = None


def decide(p: Floats, floor: Floats, *, fdr: float, correction: Correction = "bh") -> list[Decision]:
    """Decide on m candidates with p-values p, float64 (m,), none below its floor (m,).

    leaked: the q-value is at most fdr. inconclusive: not leaked, and the floor in place of the candidate's
    own p-value would not have changed that. not detected: all others, for whom a small p-value would have
    been enough; whether samples could have given it is for `distributed.membership.detectability` to say. bh:
    Benjamini-Hochberg, for p-values that are positively dependent as conformal ones of one cohort are; by:
    Benjamini-Yekutieli, for any dependence. Raises ValueError if a p-value lies outside [floor, 1] or fdr
    outside (0, 1).
    """
    if not 0 < fdr < 1:
        raise ValueError(f"a false discovery rate lies between 0 and 1, not {fdr}")
    if p.shape != floor.shape or not ((p >= floor) & (p <= 1)).all():
        raise ValueError("every p-value must lie between its floor and 1")
    q = benjamini_hochberg(p) if correction == "bh" else benjamini_yekutieli(p)
    flagged = q <= round(fdr, Q_DECIMALS)
    powerful = had_power(p, floor, fdr, correction)
    bounds = fdp_bounds(p)
    return [
        Decision(
            float(q[j]),
            float(bounds[j]),
            *_verdict(flagged[j], powerful[j], floor[j], len(p), fdr, correction),
        )
        for j in range(len(p))
    ]


def had_power(p: Floats, floor: Floats, fdr: float, correction: Correction) -> NDArray[np.bool_]:
    """Which candidates would be flagged with their floor in place of their own p-value, bool (m,).

    Let N_k be the number of p-values within the k-th of m rising bounds. With p_j lowered to its floor, j is
    flagged if for some k its floor is within the k-th bound and k p-values are: N_k if its own was, else
    N_k + 1.
    """
    m = len(p)
    if not m:
        return np.ones(0, dtype=np.bool_)
    k = np.arange(1, m + 1)
    scale = m / k if correction == "bh" else m * _harmonic(m) / k
    # The first bound that each p-value and each floor is within, 0-based; m if none.
    first_own, first_floor = (_first_bound(values, scale, fdr) for values in (p, floor))
    within = np.searchsorted(np.sort(first_own), k - 1, side="right")
    already, one_short = within >= k, within >= k - 1
    reached = first_floor <= np.flatnonzero(already).max(initial=-1)
    powerful: NDArray[np.bool_] = reached | (_next_true(one_short)[first_floor] < first_own)
    return powerful


def flagging_p_values(p: Floats, fdr: float, correction: Correction) -> Floats:
    """For each candidate the largest p-value with which it would be flagged, the others' being as they are.

    float64 (m,), NaN for those who are flagged. With N_k p-values within the k-th bound, j among them or not,
    k counts if the others within it are k − 1 or more; of one who is not flagged these are N_k for the
    bounds below j's own p-value, and fewer than k − 1 for all others.
    """
    m, limit = len(p), round(fdr, Q_DECIMALS)
    k = np.arange(1, m + 1)
    scale = m / k if correction == "bh" else m * _harmonic(m) / k
    first = _first_bound(p, scale, fdr)
    within = np.searchsorted(np.sort(first), k - 1, side="right")
    counting = np.append(0, np.maximum.accumulate(np.where(within >= k - 1, k, 0)))
    flagged = first < np.flatnonzero(within >= k).max(initial=-1) + 1
    bounds: Floats = np.where(flagged, np.nan, limit / scale[np.maximum(counting[first], 1) - 1])
    return bounds


def level(m: int, fdr: float, correction: Correction) -> float:
    """The level at which Benjamini-Hochberg flags as the correction does at `fdr`, of m candidates."""
    return fdr if correction == "bh" or not m else fdr / _harmonic(m)


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


def _verdict(
    flagged: bool, powerful: bool, floor: float, m: int, fdr: float, correction: Correction
) -> tuple[Verdict, str | None]:
    if flagged:
        return Verdict.LEAKED, None
    if powerful:
        return Verdict.NOT_DETECTED, None
    needed = cohort_needed(m, 1, level(m, fdr, correction))
    return Verdict.INCONCLUSIVE, (
        f"{round(1 / floor) - 1} cohort identities give no p-value below {floor:.2g}, which would not be "
        f"flagged; one of {m} candidates can be flagged at FDR {fdr:g} with {needed} cohort identities"
    )


def _harmonic(m: int) -> float:
    return float((1 / np.arange(1, m + 1)).sum())


def borrowed(decision: Decision, other: str) -> Decision:
    """The verdict on one whose evidence vanished when the samples that fit `other` better were left out."""
    reason = f"the samples that resemble this person fit {other} better; what is left is no evidence"
    return Decision(decision.q_value, decision.fdp_bound, Verdict.INCONCLUSIVE, reason)
