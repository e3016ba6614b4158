"""At most how often anybody who is not flagged is among the samples, for `results.json`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from distributed.membership.assessment import Assessment
from distributed.membership.planted.ceiling import ERROR, RECOGNISED, Ceiling
from distributed.statistics.power import people_needed
from schemas.run.results import CeilingResult


def ceiling_result(assessment: Assessment) -> CeilingResult | None:
    """By the headline's recogniser, or the first one; None if everybody is flagged."""
    headline, ceilings = assessment.judgements[0], assessment.ceilings
    silent = ~headline.flagged()
    if not silent.any():
        return None
    ceiling = ceilings.get(headline.recognizer, next(iter(ceilings.values())))
    share = float(ceiling.share[silent].max())
    concerned = np.unique(assessment.frame.group_of[silent])
    return CeilingResult(
        recognizer=ceiling.recognizer,
        people=int(silent.sum()),
        share=share if share < 1 else None,
        reason=None if share < 1 else _reason(ceiling, concerned),
        recognised=RECOGNISED,
        match_rate=float(ceiling.match_rate[concerned].min()),
        likeness=ceiling.likeness.value,
        likeness_source=ceiling.likeness.source,
    )


def _reason(ceiling: Ceiling, groups: NDArray[np.int64]) -> str:
    fewest, needed = (
        int(ceiling.people[groups].min()),
        people_needed(RECOGNISED, ERROR / 2 / len(ceiling.people)),
    )
    if fewest < needed:
        return f"it takes {needed} people with two photos in each group of the cohort, and there are {fewest}"
    if not ceiling.match_rate[groups].all():
        return (
            f"samples of more than {1 - RECOGNISED:.0%} of the cohort's people would hardly be recognised; "
            "use a better recogniser or better photos"
        )
    return "somebody who is not flagged has too many samples, or there are too few"
