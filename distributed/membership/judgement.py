"""From the scores of people to p-values and verdicts of every candidate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from distributed.membership.correction import correction_of
from distributed.membership.evidence import CONSENSUS, PersonScores, combined_score, in_units
from distributed.membership.frame import Calibrated, Floats, Frame, Integers, calibrate
from distributed.membership.verdicts import VERDICTS, Decisions, decide
from distributed.statistics.flagging import Correction
from distributed.statistics.set_membership import set_p_values
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
    decisions: Decisions
    resembles: Integers
    disagreement: Floats
    set_p_value: float

    def verdicts(self) -> list[Verdict]:
        return [VERDICTS[verdict] for verdict in self.decisions.verdict.tolist()]

    def least_members(self) -> int:
        """With 95 % confidence at least so many candidates are members: of all of them together, at most
        a share of `fdp_bounds` is not."""
        p_values = self.calibrated.p_value
        bound = float(self.decisions.fdp_bound[p_values.argmax()])
        return round(len(p_values) * (1 - bound))

    def flagged(self) -> NDArray[np.bool_]:
        return self.decisions.are(Verdict.LEAKED)


def judge(
    frame: Frame,
    scores: PersonScores,
    membership: MembershipSpec,
    *,
    tails: bool = True,
    set_test: bool = True,
    done: Callable[[str], None] = lambda step: None,
) -> list[Judgement]:
    """All recognisers × scores, in the spec's order. Each is a family of its own for the FDR.

    tails, set_test: whether these, which change no verdict, are computed; NaN if not.
    done: is told of each step.
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
                float("nan"),
            )
        )
        done("p-values")
    return _with_set_p_values(frame, judgements, done) if set_test else judgements


def decided(
    frame: Frame, scores: Floats, membership: MembershipSpec, correction: Correction
) -> tuple[Calibrated, Decisions]:
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


def _with_set_p_values(
    frame: Frame, judgements: list[Judgement], done: Callable[[str], None]
) -> list[Judgement]:
    scores = [
        (_by_group(frame, judgement.calibrated.score), judgement.calibrated.cohort)
        for judgement in judgements
    ]
    p_values = set_p_values(scores, seed=SEED)
    done("set test")
    return [
        replace(judgement, set_p_value=p_value)
        for judgement, p_value in zip(judgements, p_values, strict=True)
    ]


def _by_group(frame: Frame, values: Floats) -> list[Floats]:
    return [values[frame.group_of == index] for index in range(len(frame.groups))]


def _disagreement(frame: Frame, scores: PersonScores, membership: MembershipSpec) -> Floats:
    units = in_units(frame, scores, combined_score(membership.scores))
    return np.asarray(np.std([calibrate(frame, values).score for values in units], axis=0), dtype=np.float64)
