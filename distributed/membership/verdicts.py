"""Verdicts: which candidates are flagged, and which could not have been, whatever their evidence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import overload

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


VERDICTS = tuple(Verdict)
NOTHING: tuple[str | None, Detectable | None] = (None, None)


@dataclass(frozen=True, eq=False)
class Decisions(Sequence[Decision]):
    """The decisions on m candidates, a column of each field, as there may be a million of them.

    q_value, fdp_bound: float64 (m,). verdict: int64 (m,), places in VERDICTS. why: int64 (m,), places in
    `whys`, each a reason and what is detectable. cleared_at: float64 (m,), NaN for None.
    """

    q_value: Floats
    fdp_bound: Floats
    verdict: Integers
    why: Integers
    whys: Sequence[tuple[str | None, Detectable | None]]
    cleared_at: Floats

    def __len__(self) -> int:
        return len(self.q_value)

    @overload
    def __getitem__(self, place: int) -> Decision: ...

    @overload
    def __getitem__(self, place: slice) -> Sequence[Decision]: ...

    def __getitem__(self, place: int | slice) -> Decision | Sequence[Decision]:
        if isinstance(place, slice):
            return [self[index] for index in range(*place.indices(len(self)))]
        at = float(self.cleared_at[place])
        return Decision(
            float(self.q_value[place]),
            float(self.fdp_bound[place]),
            VERDICTS[int(self.verdict[place])],
            *self.whys[int(self.why[place])],
            None if np.isnan(at) else at,
        )

    def __iter__(self) -> Iterator[Decision]:
        return (self[place] for place in range(len(self)))

    def are(self, verdict: Verdict) -> NDArray[np.bool_]:
        """Whose verdict it is, bool (m,)."""
        flags: NDArray[np.bool_] = self.verdict == VERDICTS.index(verdict)
        return flags

    def whys_of(self, verdict: Verdict) -> list[tuple[str | None, Detectable | None, int]]:
        """What such verdicts rest on and how many do so, in the order of the first candidate of each."""
        whys, first, counts = np.unique(self.why[self.are(verdict)], return_index=True, return_counts=True)
        order = np.argsort(first)
        return [
            (*self.whys[why], count)
            for why, count in zip(whys[order].tolist(), counts[order].tolist(), strict=True)
        ]


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
) -> Decisions:
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
    floors, of_floor = np.unique(floor, return_inverse=True)
    whys = [NOTHING, *((_too_small(value, len(p), fdr, rate), None) for value in floors.tolist())]
    verdict = np.select(
        [leaked, powerful],
        [VERDICTS.index(Verdict.LEAKED), VERDICTS.index(Verdict.NOT_DETECTED)],
        VERDICTS.index(Verdict.INCONCLUSIVE),
    )
    why = np.where(leaked | powerful, 0, of_floor + 1)
    return Decisions(q, bounds, verdict, why, whys, np.full(len(p), np.nan))


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
