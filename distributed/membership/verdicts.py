"""Verdicts: which candidates are flagged, and which could not have been, whatever their evidence."""

from __future__ import annotations

from dataclasses import dataclass

from distributed.statistics.calibration import Q_DECIMALS, benjamini_hochberg, cohort_needed
from distributed.statistics.discoveries import benjamini_yekutieli, fdp_bounds
from distributed.statistics.flagging import Correction, had_power, level
from distributed.statistics.similarity import Floats
from schemas.run.tables import Verdict


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
