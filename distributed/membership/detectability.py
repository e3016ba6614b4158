"""From which share of the samples on an audit would have flagged a candidate whom it does not flag."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from distributed.gallery.enrolled import EnrolledGallery
from distributed.membership.frame import Frame, calibrate
from distributed.membership.judgement import Judgement
from distributed.membership.verdicts import Decision
from distributed.reduce.partial import Partial
from distributed.reduce.people import centred
from distributed.statistics.allowance import Allowance
from distributed.statistics.flagging import flagging_p_values
from distributed.statistics.matching import Group
from distributed.statistics.power import (
    DETECTION_POWER,
    LARGEST_SHARE,
    LEAST_PEOPLE,
    MatedSimilarity,
    Power,
    flagging_similarity,
    mated_similarity,
    per_million,
    silence_text,
)
from distributed.statistics.similarity import Floats
from schemas.run.tables import Verdict
from schemas.spec.membership import MembershipSpec


@dataclass(frozen=True)
class GroupReach:
    """What one recogniser would have made of a group's people, had samples shown them.

    cohort: the scores `max` of the group's cohort, (n,). mated: of the cohort's own photos.
    """

    samples: int
    cohort: Floats
    mated: MatedSimilarity

    def power(self, p_value: float) -> Power | None:
        """The chance that `max` gives a p-value of p_value or less; None if too few have two photos."""
        needed = flagging_similarity(self.cohort, p_value)
        if needed is None:
            return Power(self.samples, np.zeros(1))
        if self.mated.people < LEAST_PEOPLE:
            return None
        return Power(self.samples, self.mated.match_rates(needed))


Reach = Mapping[str, Sequence[GroupReach]]
"""Recogniser -> each group of the frame."""


def reach_of(
    frame: Frame, partials: Mapping[str, Sequence[Partial]], centres: Mapping[str, Floats]
) -> dict[str, list[GroupReach]]:
    """By the nearest sample of each person. partials: recogniser -> of each level."""
    return {name: _of_recognizer(frame, name, levels, centres[name]) for name, levels in partials.items()}


def _of_recognizer(
    frame: Frame, recognizer: str, levels: Sequence[Partial], centre: Floats
) -> list[GroupReach]:
    scores = np.stack([partial.neighbours.similarity[:, 0].astype(np.float64) for partial in levels])
    calibrated = calibrate(frame, scores)
    return [
        GroupReach(levels[0].samples, cohort, _mated(frame.gallery, recognizer, group, centre))
        for group, cohort in zip(frame.groups, calibrated.cohort, strict=True)
    ]


def _mated(gallery: EnrolledGallery, recognizer: str, group: Group, centre: Floats) -> MatedSimilarity:
    templates = centred(gallery.templates[recognizer], centre)
    return mated_similarity(templates, gallery.identity, gallery.rank, group.photos, group.cohort)


def power_alone(reach: Sequence[GroupReach], allowed: Allowance, rate: float) -> Power | None:
    """Of flagging one candidate of the largest group alone. rate: the level of Benjamini-Hochberg."""
    return reach[allowed.largest].power(rate / allowed.candidates)


def with_detectability(
    frame: Frame, judgements: Iterable[Judgement], reach: Reach, membership: MembershipSpec
) -> list[Judgement]:
    """Every `not detected` with the share from which on it holds; `inconclusive`, and why, without one.

    The chance is that of the score `max` of the judgement's recogniser (of a score that combines them, the
    least able one) to give the p-value that would have been enough, beside all who are flagged.
    """
    return [_with_detectability(frame, judgement, reach, membership) for judgement in judgements]


def _with_detectability(
    frame: Frame, judgement: Judgement, reach: Reach, membership: MembershipSpec
) -> Judgement:
    calibrated = judgement.calibrated
    bars = flagging_p_values(calibrated.p_value, calibrated.floor, membership.fdr, judgement.correction)
    names = [judgement.recognizer] if judgement.recognizer in reach else list(reach)
    answers: dict[tuple[int, float], tuple[float | None, str]] = {}
    decisions = list(judgement.decisions)
    for place, decision in enumerate(decisions):
        if decision.verdict is Verdict.NOT_DETECTED:
            key = int(frame.group_of[place]), float(bars[place])
            if key not in answers:
                answers[key] = _detectable([reach[name][key[0]] for name in names], key[1])
            decisions[place] = _decided(decision, *answers[key])
    return replace(judgement, decisions=decisions)


def _decided(decision: Decision, share: float | None, reason: str) -> Decision:
    verdict = Verdict.INCONCLUSIVE if share is None else Verdict.NOT_DETECTED
    return replace(decision, verdict=verdict, reason=reason, detectable_share=share)


def _detectable(reach: Sequence[GroupReach], p_value: float) -> tuple[float | None, str]:
    """The smallest share that would have been noticed, None if it is too large, and what to say of it."""
    shares = []
    for group_reach in reach:
        power = group_reach.power(p_value)
        share = None if power is None else power.smallest_share(DETECTION_POWER)
        if share is None or share > LARGEST_SHARE:
            return None, _unknown_power(group_reach) if power is None else _too_little_power(power)
        shares.append(share)
    return max(shares), silence_text(max(shares))


def _unknown_power(reach: GroupReach) -> str:
    return (
        f"{reach.mated.people} of the {len(reach.cohort)} cohort identities have two photos, and "
        f"{LEAST_PEOPLE} are needed to say how often the recogniser matches a person: it is not known what "
        "this audit would have found"
    )


def below_half_text(chance: float) -> str:
    """The chance, which is below 0.5; rounding must not say that it is not."""
    text = f"{chance:.2g}"
    return text if float(text) < DETECTION_POWER else f"just under {DETECTION_POWER:g}"


def _too_little_power(power: Power) -> str:
    chance = power.at(LARGEST_SHARE)
    text = (
        f"even a person in {per_million(LARGEST_SHARE)} of a million compared samples would have been "
        f"flagged with an estimated chance of {below_half_text(chance)} only, by the score max: "
    )
    matched = float((power.match_rates > 0).mean())
    if matched < DETECTION_POWER:
        return text + (
            f"of the cohort's people {matched:.0%} have two photos that are similar enough, which more "
            "samples do not change; use a better recogniser, better photos or a larger cohort"
        )
    return text + f"{power.samples:,} compared samples are too few"
