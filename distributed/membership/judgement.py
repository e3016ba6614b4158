"""From the scores of people to p-values and verdicts of every candidate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from distributed.membership.correction import correction_of
from distributed.membership.evidence import CONSENSUS, PersonScores, combined_score, in_units
from distributed.membership.frame import Calibrated, Floats, Frame, Integers, calibrate
from distributed.membership.verdicts import Decision, decide
from distributed.statistics.flagging import Correction
from distributed.statistics.set_membership import set_p_value
from distributed.statistics.tail import TailPValues, tail_p_values
from schemas.run.tables import Verdict
from schemas.spec.membership import MembershipSpec

SEED = 0
"""Of bootstraps and permutations."""


@dataclass(frozen=True)
class Judgement:
    """One recogniser × score, all arrays and lists in the order of the frame's candidates.

    tail: extrapolated p-values. resembles: index of the flagged person whom the similar samples fit better,
    or −1. disagreement: the spread of `consensus` over recognisers, NaN for other scores. set_p_value: of all
    candidates together.
    """

    recognizer: str
    score_name: str
    correction: Correction
    calibrated: Calibrated
    tail: TailPValues
    decisions: Sequence[Decision]
    resembles: Integers
    disagreement: Floats
    set_p_value: float

    def verdicts(self) -> list[Verdict]:
        return [decision.verdict for decision in self.decisions]

    def least_members(self) -> int:
        """With 95 % confidence at least so many candidates are members: of all of them together, at most
        a share of `fdp_bounds` is not."""
        p_values = self.calibrated.p_value
        bound = self.decisions[int(p_values.argmax())].fdp_bound
        return round(len(p_values) * (1 - bound))

    def flagged(self) -> NDArray[np.bool_]:
        return np.array([decision.verdict is Verdict.LEAKED for decision in self.decisions], dtype=np.bool_)


def judge(
    frame: Frame,
    scores: PersonScores,
    membership: MembershipSpec,
    *,
    tails: bool = True,
    set_test: bool = True,
) -> list[Judgement]:
    """All recognisers × scores, in the spec's order. Each is a family of its own for the FDR.

    tails, set_test: whether these, which change no verdict, are computed; NaN if not.
    """
    judgements = []
    for (recognizer, name), values in scores.items():
        correction = correction_of(frame, name, membership)
        calibrated, decisions = decided(frame, values, membership, correction)
        m = len(frame.candidates)
        unknown = np.full(m, np.nan)
        judgements.append(
            Judgement(
                recognizer,
                name,
                correction,
                calibrated,
                _tails(frame, calibrated) if tails else TailPValues(unknown, unknown, unknown),
                decisions,
                np.full(m, -1, dtype=np.int64),
                _disagreement(frame, scores, membership) if name == CONSENSUS else unknown,
                _set_p_value(frame, calibrated) if set_test else float("nan"),
            )
        )
    return judgements


def decided(
    frame: Frame, scores: Floats, membership: MembershipSpec, correction: Correction
) -> tuple[Calibrated, list[Decision]]:
    """The p-values and verdicts that scores (l, P) lead to."""
    calibrated = calibrate(frame, scores)
    decisions = decide(
        calibrated.p_value, calibrated.floor, fdr=membership.fdr, correction=correction, group=frame.group_of
    )
    return calibrated, decisions


def _tails(frame: Frame, calibrated: Calibrated) -> TailPValues:
    columns = [np.full(len(calibrated.score), np.nan) for _ in range(3)]
    for index, cohort in enumerate(calibrated.cohort):
        in_group = np.flatnonzero(frame.group_of == index)
        tail = tail_p_values(calibrated.score[in_group], cohort, seed=SEED)
        for column, values in zip(columns, (tail.p_value, tail.low, tail.high), strict=True):
            column[in_group] = values
    return TailPValues(*columns)


def _set_p_value(frame: Frame, calibrated: Calibrated) -> float:
    sides = [calibrated.score[frame.group_of == index] for index in range(len(frame.groups))]
    return set_p_value(sides, calibrated.cohort, seed=SEED)


def _disagreement(frame: Frame, scores: PersonScores, membership: MembershipSpec) -> Floats:
    units = in_units(frame, scores, combined_score(membership.scores))
    return np.asarray(np.std([calibrate(frame, values).score for values in units], axis=0), dtype=np.float64)
