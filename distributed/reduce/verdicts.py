"""Verdicts: which candidates are flagged, and for which the audit had no power to flag them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from distributed.reduce.calibration import Q_DECIMALS, benjamini_hochberg, cohort_needed, smallest_p_value
from distributed.reduce.similarity import Floats
from schemas.tables import Verdict


@dataclass(frozen=True)
class Decision:
    """One candidate's verdict. reason: why it is inconclusive, else None."""

    q_value: float
    verdict: Verdict
    reason: str | None


def decide(p: Floats, *, cohort: int, fdr: float) -> list[Decision]:
    """Decide on m candidates with conformal p-values p, float64 (m,), from `cohort` identities.

    leaked: the Benjamini-Hochberg q-value is at most fdr. inconclusive: not leaked, and the smallest possible
    p-value in place of the candidate's own would not have changed that. not detected: all others.
    Raises ValueError if a p-value lies outside [1/(cohort + 1), 1] or fdr outside (0, 1).
    """
    if not 0 < fdr < 1:
        raise ValueError(f"a false discovery rate lies between 0 and 1, not {fdr}")
    if not ((p >= smallest_p_value(cohort)) & (p <= 1)).all():
        raise ValueError(
            f"p-values of {cohort} cohort identities lie between {smallest_p_value(cohort)} and 1"
        )
    q = benjamini_hochberg(p)
    flagged = q <= round(fdr, Q_DECIMALS)
    powerful = _had_power(p, smallest_p_value(cohort), fdr, any_flagged=bool(flagged.any()))
    return [
        _decision(q[j], flagged[j], powerful[j], candidates=len(p), cohort=cohort, fdr=fdr)
        for j in range(len(p))
    ]


def _had_power(p: Floats, least: float, fdr: float, *, any_flagged: bool) -> NDArray[np.bool_]:
    """Which candidates Benjamini-Hochberg would flag with `least` in place of their own p-value.

    If k are flagged, the k-th bound is at least `least`, and with one p-value lowered k still lie within it:
    all had power. If none is, at most k − 1 p-values lie within any k-th bound. Lowering one adds one to the
    bounds that it was not within, so it is flagged if for some k exactly k − 1 lie within the bound, `least`
    does, and its own does not. The smallest such k decides, as bounds rise with k.
    """
    if any_flagged or not len(p):
        return np.ones(len(p), dtype=np.bool_)
    k = np.arange(1, len(p) + 1)
    one_missing = (k == 1) | _within(np.roll(np.sort(p), 1), k, fdr)
    reachable = k[one_missing & _within(np.full(len(p), least), k, fdr)]
    if not len(reachable):
        return np.zeros(len(p), dtype=np.bool_)
    return ~_within(p, np.full(len(p), reachable[0]), fdr)


def _within(p: Floats, k: NDArray[np.int64], fdr: float) -> NDArray[np.bool_]:
    """Whether p lies within the k-th of m bounds, rounded as in `benjamini_hochberg`."""
    within: NDArray[np.bool_] = np.round(p * (len(p) / k), Q_DECIMALS) <= round(fdr, Q_DECIMALS)
    return within


def _decision(
    q: float, flagged: bool, powerful: bool, *, candidates: int, cohort: int, fdr: float
) -> Decision:
    if flagged:
        return Decision(float(q), Verdict.LEAKED, None)
    if powerful:
        return Decision(float(q), Verdict.NOT_DETECTED, None)
    reason = (
        f"{cohort} cohort identities give no p-value below {smallest_p_value(cohort):.2g}, which would not "
        f"be flagged; one of {candidates} candidates can be flagged at FDR {fdr:g} with "
        f"{cohort_needed(candidates, 1, fdr)} cohort identities"
    )
    return Decision(float(q), Verdict.INCONCLUSIVE, reason)
