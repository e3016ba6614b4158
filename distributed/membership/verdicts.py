"""Verdicts: which candidates are flagged, and which could not have been, whatever their evidence."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from distributed.membership.planted.likeness import Likeness
from distributed.statistics.calibration import Q_DECIMALS, cohort_needed
from distributed.statistics.discoveries import fdp_bounds
from distributed.statistics.flagging import Correction, had_power, level, null_proportion, q_values
from distributed.statistics.power import ForMost
from distributed.statistics.similarity import Floats, Integers
from schemas.run.tables import Verdict


@dataclass(frozen=True)
class Detectable:
    """From which share on a person would have been flagged with a chance of `power.DETECTION_POWER`, and the
    95 % interval of that share, None at an end that no share reaches.

    likeness: of the samples, that it holds for. most: the same, for each of 95 % of people by itself.
    """

    share: float
    low: float | None
    high: float | None
    likeness: Likeness
    most: ForMost


@dataclass(frozen=True)
class Decision:
    """One candidate's verdict. fdp_bound: see `fdp_bounds`. reason: what it rests on; None if leaked.

    detectable: from which share of the samples on the person would have been flagged; None unless that is
    known (`planted.detectability`) and the verdict is not detected. cleared_at: the smallest
    share of the samples that the candidate's score is too low for (`planted.clearance`); None at none.
    """

    q_value: float
    fdp_bound: float
    verdict: Verdict
    reason: str | None = None
    detectable: Detectable | None = None
    cleared_at: float | None = None


def flagged(p: Floats, floor: Floats, *, fdr: float, correction: Correction) -> NDArray[np.bool_]:
    """Which of m candidates are: those whose q-value is at most fdr, bool (m,)."""
    flags: NDArray[np.bool_] = q_values(p, floor, correction) <= round(fdr, Q_DECIMALS)
    return flags


def decide(
    p: Floats,
    floor: Floats,
    *,
    fdr: float,
    correction: Correction = "bh",
    group: Integers | None = None,
) -> list[Decision]:
    """Decide on m candidates with p-values p, float64 (m,), none below its floor (m,).

    leaked: the q-value is at most fdr. inconclusive: not leaked, and the floor in place of the candidate's
    own p-value would not have changed that. not detected: all others, for whom a small p-value would have
    been enough; whether samples could have given it is for `planted.detectability` to say.
    group: int64 (m,), candidates of one number share a cohort; all do if not given. Raises ValueError if a
    p-value lies outside [floor, 1], fdr outside (0, 1), or for storey with several floors.
    """
    if not 0 < fdr < 1:
        raise ValueError(f"a false discovery rate lies between 0 and 1, not {fdr}")
    if p.shape != floor.shape or not ((p >= floor) & (p <= 1)).all():
        raise ValueError("every p-value must lie between its floor and 1")
    group = np.zeros(len(p), np.int64) if group is None else group
    q = q_values(p, floor, correction)
    leaked = q <= round(fdr, Q_DECIMALS)
    powerful = had_power(p, floor, fdr, correction)
    bounds = fdp_bounds(p, _cohorts(floor, group), group)
    rate = level(len(p), fdr, correction)
    if correction == "storey" and len(p):
        # A proportion below 1 is an estimate from these very p-values: no smaller cohort is promised for it.
        rate = min(rate, fdr / null_proportion(p, floor))
    reasons = {value: _too_small(value, len(p), fdr, rate) for value in np.unique(floor).tolist()}
    rows = zip(q.tolist(), bounds.tolist(), leaked.tolist(), powerful.tolist(), floor.tolist(), strict=True)
    return [
        Decision(q_value, bound, Verdict.LEAKED)
        if is_leaked
        else Decision(q_value, bound, Verdict.NOT_DETECTED)
        if had
        else Decision(q_value, bound, Verdict.INCONCLUSIVE, reasons[least])
        for q_value, bound, is_leaked, had, least in rows
    ]


def _cohorts(floor: Floats, group: Integers) -> Integers:
    """The number of cohort identities of each group, by the floor that it gives."""
    sizes = np.zeros(int(group.max(initial=-1)) + 1, np.int64)
    sizes[group] = np.round(1 / floor).astype(np.int64) - 1
    return sizes


def _too_small(floor: float, m: int, fdr: float, rate: float) -> str:
    """rate: the level at which Benjamini and Hochberg's procedure flags as the correction does."""
    needed = cohort_needed(m, 1, min(rate, 0.999))
    return (
        f"a cohort of {round(1 / floor) - 1} people gives no p-value below {floor:.2g}, which is too large "
        f"to be flagged; to flag one of {m} candidates alone at FDR {fdr:g} takes a cohort of {needed:,}"
    )
