"""Over-representation: how often each candidate is hit, against the cohort."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from distributed.membership.frame import Floats, Frame, Integers
from distributed.reduce.partial import EDGES, Partial
from distributed.statistics.over_representation import over_representation, over_represented
from schemas.run.tables import Role

EXPECTED_HITS = 1.0
"""At least so many of a person outside the training data, among all samples, at the margin that makes a hit.
With fewer the cohort's counts have no tail to compare with: in simulated worlds one person with 3 % of the
samples was flagged in all with 1.4 expected hits, and in none with 0.2. A larger margin leaves fewer chance
hits beside a person's own, so the largest one is taken."""


@dataclass(frozen=True)
class HitCounts:
    """How often each candidate is hit, against the cohort; arrays in the order of the frame's candidates.

    margin: by which a sample must fit the person better than anybody else.
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
    flagged: NDArray[np.bool_]


def hit_edge(frame: Frame, partials: Sequence[Partial]) -> int:
    """The place in EDGES of the largest margin by which the cohort has EXPECTED_HITS a person or more.

    By the last level of photos, the most exact one. The smallest margin if there is none.
    """
    cohort = frame.gallery.members_of(Role.COHORT)
    means = partials[-1].margin_hits[:, cohort].mean(axis=1)
    enough = np.flatnonzero(means >= EXPECTED_HITS)
    return int(enough[-1]) if len(enough) else 0


def count_hits(frame: Frame, recognizer: str, partials: Sequence[Partial], fdr: float) -> HitCounts:
    """Over-representation of every candidate, at the number of photos of their group. partials: by level."""
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
    flagged = over_represented(p_value, fdr)
    return HitCounts(recognizer, EDGES[edge], hits, per_million, low, high, expected, ratio, p_value, flagged)
