"""Over-representation: how often each candidate is hit, against the cohort."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from distributed.membership.frame import Floats, Frame, Integers
from distributed.reduce.partial import EDGES, Partial
from distributed.statistics.over_representation import more_than_cohort, over_representation, standing
from schemas.run.tables import Role

ERROR = 0.05
EXPECTED_HITS = 1.0
"""At least so many of a person outside the training data, among all samples, at the margin that makes a hit.
With fewer the cohort's counts have no tail to compare with: in simulated worlds one person with 3 % of the
samples was flagged in all with 1.4 expected hits, and in none with 0.2. A larger margin leaves fewer chance
hits beside a person's own, so the largest one is taken."""


@dataclass(frozen=True)
class HitCounts:
    """How often each candidate is hit, against the cohort; arrays in the order of the frame's candidates.

    margin: by which a sample must fit the person better than anybody else. more: who has more hits than the
    spread of the cohort's explains. flagged: who is over-represented among the leaked. least_times: of those
    who may be, the lower limit of how many times as often as the median of `others` people they are hit, NaN
    of all others. among_flagged: these people are flagged too; else they are all other candidates.
    """

    recognizer: str
    margin: float
    hits: Integers
    per_million: Floats
    low: Floats
    high: Floats
    expected: Floats
    ratio: Floats
    p_value: Floats
    more: NDArray[np.bool_]
    flagged: NDArray[np.bool_]
    least_times: Floats
    others: Integers
    among_flagged: bool


def hit_edge(frame: Frame, partials: Sequence[Partial]) -> int:
    """The place in EDGES of the largest margin by which the cohort has EXPECTED_HITS a person or more.

    By the last level of photos, the most exact one. The smallest margin if there is none.
    """
    cohort = frame.gallery.members_of(Role.COHORT)
    means = partials[-1].margin_hits[:, cohort].mean(axis=1)
    enough = np.flatnonzero(means >= EXPECTED_HITS)
    return int(enough[-1]) if len(enough) else 0


def count_hits(
    frame: Frame,
    recognizer: str,
    partials: Sequence[Partial],
    fdr: float,
    leaked: NDArray[np.bool_],
) -> HitCounts:
    """How often every candidate is hit, at the number of photos of their group. partials: by level; leaked:
    bool (m,), whom the headline flags."""
    m, edge = len(frame.candidates), hit_edge(frame, partials)
    hits = np.zeros(m, dtype=np.int64)
    columns = per_million, low, high, expected, ratio, p_value = np.empty((6, m))
    for index, group in enumerate(frame.groups):
        partial = partials[frame.level_of(group)]
        counts = partial.margin_hits[edge]
        in_group = np.flatnonzero(frame.group_of == index)
        hits[in_group] = counts[frame.candidates[in_group]]
        measured = over_representation(hits[in_group], partial.samples, counts[group.cohort])
        rate = np.full(len(in_group), measured.expected_per_million)
        values = (measured.per_million, measured.low, measured.high, rate, measured.ratio, measured.p_value)
        for column, value in zip(columns, values, strict=True):
            column[in_group] = value
    more = more_than_cohort(p_value, fdr)
    return HitCounts(
        *(recognizer, EDGES[edge], hits, per_million, low, high, expected, ratio, p_value, more),
        *_among(hits, partials[0].samples, leaked | more),
    )


def _among(
    hits: Integers, samples: int, leaked: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], Floats, Integers, bool]:
    """Who of the leaked is over-represented among them; against all other candidates if only one leaked."""
    people = np.flatnonzero(leaked)
    flagged, times, others = np.zeros(len(hits), np.bool_), np.full(len(hits), np.nan), np.zeros(len(hits))
    alone = len(people) == 1
    if len(people) and len(hits) > 1:
        rest = np.delete(hits, people) if alone else None
        rates = standing(hits[people], samples, rest, ERROR)
        flagged[people], times[people], others[people] = rates.outstanding(), rates.least_times, rates.others
    return flagged, times, others.astype(np.int64), not alone
