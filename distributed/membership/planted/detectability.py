"""From which share of the samples on an audit would have flagged a candidate whom it does not flag."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from distributed.membership.frame import Frame
from distributed.membership.judgement import Judgement
from distributed.membership.planted.reach import GroupReach, Reach, reaches_of
from distributed.membership.verdicts import VERDICTS, Detectable
from distributed.statistics.flagging import flagging_p_values
from distributed.statistics.power import DETECTION_POWER, LEAST_PEOPLE, STEPS, Power
from schemas.run.tables import Verdict
from schemas.spec.membership import MembershipSpec
from schemas.wording import likeness_text, per_million, silence_text


def with_detectability(
    frame: Frame, judgements: Iterable[Judgement], reach: Reach, membership: MembershipSpec
) -> list[Judgement]:
    """Every `not detected` with the share from which on it holds; `inconclusive`, and why, without one.

    The chance is that of the judgement's own score (of a score that combines recognisers, of the least able
    one) to give the p-value that would have been enough, beside all who are flagged.
    """
    return [
        _with_detectability(frame, judgement, reaches_of(reach, judgement, membership.scores), membership)
        for judgement in judgements
    ]


def _with_detectability(
    frame: Frame, judgement: Judgement, reaches: Sequence[Sequence[GroupReach]], membership: MembershipSpec
) -> Judgement:
    calibrated = judgement.calibrated
    bars = flagging_p_values(calibrated.p_value, calibrated.floor, membership.fdr, judgement.correction)
    decisions, whys = judgement.decisions, list(judgement.decisions.whys)
    verdict, why = decisions.verdict.copy(), decisions.why.copy()
    silent = decisions.are(Verdict.NOT_DETECTED)
    for index in range(len(frame.groups)):
        places = np.flatnonzero(silent & (frame.group_of == index))
        asked, place_of = np.unique(bars[places], return_inverse=True)
        answers = [
            _detectable([groups[index] for groups in reaches], bar, membership.detect)
            for bar in asked.tolist()
        ]
        unknown = np.array([detectable is None for detectable, _ in answers], np.bool_)
        verdict[places[unknown[place_of]]] = VERDICTS.index(Verdict.INCONCLUSIVE)
        why[places] = len(whys) + place_of
        whys += [(reason, detectable) for detectable, reason in answers]
    return replace(judgement, decisions=replace(decisions, verdict=verdict, why=why, whys=whys))


def _detectable(reach: Sequence[GroupReach], p_value: float, limit: float) -> tuple[Detectable | None, str]:
    """The smallest share that would have been noticed, None if it is above the limit, and what to say."""
    detectable = None
    for group_reach in reach:
        power = group_reach.power(p_value)
        share = None if power is None else power.smallest_share(DETECTION_POWER)
        if power is None or share is None or share > limit:
            text = _unknown_power(group_reach) if power is None else _too_little(power, group_reach, limit)
            return None, text
        if detectable is None or share > detectable.share:
            low, high = power.interval(DETECTION_POWER)
            detectable = Detectable(share, low, high, group_reach.likeness, power.for_most(DETECTION_POWER))
    assert detectable is not None
    likeness = detectable.likeness
    return detectable, silence_text(detectable.share, DETECTION_POWER, likeness.value, likeness.source)


def _unknown_power(reach: GroupReach) -> str:
    return (
        f"{len(reach.planted)} of the {len(reach.cohort)} people of the cohort have two photos, and "
        f"{LEAST_PEOPLE} are needed to say how often somebody must be among the samples to be flagged: it is "
        "not known what this audit would have found"
    )


def below_text(chance: float) -> str:
    """The chance, which is below DETECTION_POWER; rounding must not say that it is not."""
    text = f"{chance:.2g}"
    return text if float(text) < DETECTION_POWER else f"just under {DETECTION_POWER:g}"


def _too_little(power: Power, reach: GroupReach, limit: float) -> str:
    return (
        f"even a person in {per_million(limit)} of a million compared samples would have been flagged with "
        f"an estimated chance of only {below_text(power.at(limit))}, where {DETECTION_POWER:g} is asked for; "
        f"{_what_would_help(power)}; so it is {likeness_text(reach.likeness.value, reach.likeness.source)}"
    )


def _what_would_help(power: Power) -> str:
    if (most := power.at(1.0)) < DETECTION_POWER and power.samples >= STEPS[-1]:
        return (
            f"more samples would not change that, as only {below_text(most)} of the cohort's people would be "
            "flagged however often samples showed them: use a better recogniser, better photos or a larger "
            "cohort"
        )
    share = power.smallest_share(DETECTION_POWER)
    named = "" if share is None else f"; with so many, from {per_million(share)} of a million on"
    return f"{power.samples:,} compared samples are too few{named}"
