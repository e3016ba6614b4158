"""What an audit would have made of people of the cohort, had samples shown them: by planted samples."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from distributed.membership.adjusted import Adjustments
from distributed.membership.frame import Frame
from distributed.membership.judgement import Judgement
from distributed.membership.planted.groups import Plantings
from distributed.membership.planted.likeness import Likeness
from distributed.membership.planted.sensitivity import first_flagged, planted_scores
from distributed.membership.scores import Evidence
from distributed.statistics.power import LEAST_PEOPLE, Power, flagging_score
from distributed.statistics.similarity import Floats


@dataclass(frozen=True)
class GroupReach:
    """What one recogniser and score would have made of a group's people, had samples shown them.

    samples: how many were compared. cohort: the scores of the group's cohort, (n,). planted: with planted
    samples, of k of them, float64 (k, DRAWS, STEPS): see `planted.sensitivity`; own: without, (k,). likeness:
    of these samples.
    """

    samples: int
    cohort: Floats
    own: Floats
    planted: Floats
    likeness: Likeness

    def power(self, p_value: float) -> Power | None:
        """The chance of a p-value of p_value or less; None if too few people have two photos."""
        needed = flagging_score(self.cohort, p_value)
        if needed is None:
            return Power.by_one(self.samples, 0.0)
        if len(self.planted) < LEAST_PEOPLE:
            return None
        return Power(self.samples, first_flagged(self.planted, needed))


Reach = Mapping[tuple[str, str], Sequence[GroupReach]]
"""(recogniser, score) -> each group of the frame. Not of scores that combine recognisers."""


def reach_of(
    frame: Frame,
    judgements: Iterable[Judgement],
    evidences: Mapping[str, Sequence[Evidence]],
    thresholds: Mapping[str, Sequence[float | None]],
    plantings: Mapping[str, Plantings],
    adjustments: Adjustments,
) -> dict[tuple[str, str], list[GroupReach]]:
    """By recogniser: evidences and thresholds of each level, plantings of each group; by score: what is
    expected of people at each level, if scores are adjusted."""
    return {
        (judgement.recognizer, judgement.score_name): [
            _group_reach(
                frame,
                judgement,
                index,
                evidences[judgement.recognizer],
                thresholds[judgement.recognizer],
                plantings[judgement.recognizer],
                adjustments,
            )
            for index in range(len(frame.groups))
        ]
        for judgement in judgements
        if judgement.recognizer in plantings
    }


def _group_reach(
    frame: Frame,
    judgement: Judgement,
    index: int,
    evidences: Sequence[Evidence],
    thresholds: Sequence[float | None],
    planting: Plantings,
    adjustments: Adjustments,
) -> GroupReach:
    level = frame.level_of(frame.groups[index])
    evidence, (groups, likeness) = evidences[level], planting
    made, cohort = groups[index], judgement.calibrated.cohort[index]
    own = cohort[np.searchsorted(frame.groups[index].cohort, made.person)]
    scores = planted_scores(evidence, made, judgement.score_name, thresholds[level])
    if (levels := adjustments.get((judgement.recognizer, judgement.score_name))) is not None:
        expected, spread = levels[level].expected, levels[level].spread
        scores = (scores - expected[made.person, None, None]) / spread[made.person, None, None]
    return GroupReach(evidence.partial.samples, cohort, own, scores, likeness)


def reaches_of(reach: Reach, judgement: Judgement, score_names: Sequence[str]) -> list[Sequence[GroupReach]]:
    """Those that a judgement rests on: its own, or of a score that combines recognisers each one's."""
    own = reach.get((judgement.recognizer, judgement.score_name))
    if own is not None:
        return [own]
    combined = next(name for name in score_names if any(name == score for _, score in reach))
    return [groups for (_, score), groups in reach.items() if score == combined]
