"""Over-representation: how often each candidate is hit, against the cohort."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from distributed.membership.frame import Floats, Frame, Integers
from distributed.reduce.neighbours import Partial
from distributed.statistics.over_representation import over_representation, over_represented


@dataclass(frozen=True)
class HitCounts:
    """How often each candidate is hit, against the cohort; arrays in the order of the frame's candidates."""

    recognizer: str
    hits: Integers
    per_million: Floats
    low: Floats
    high: Floats
    expected: Floats
    ratio: Floats
    p_value: Floats
    flagged: NDArray[np.bool_]
    resembles: Integers


def count_hits(frame: Frame, recognizer: str, partial: Partial, fdr: float) -> HitCounts:
    """Over-representation of every candidate, at the number of photos of their group."""
    m = len(frame.candidates)
    hits = np.zeros(m, dtype=np.int64)
    columns = per_million, low, high, expected, ratio, p_value = np.empty((6, m))
    for index, group in enumerate(frame.groups):
        counts = partial.identity_hits[frame.level_of(group)]
        in_group = np.flatnonzero(frame.group_of == index)
        hits[in_group] = counts[frame.candidates[in_group]]
        measured = over_representation(hits[in_group], partial.samples, counts[group.cohort])
        rate = np.full(len(in_group), measured.expected_per_million)
        values = (measured.per_million, measured.low, measured.high, rate, measured.ratio, measured.p_value)
        for column, value in zip(columns, values, strict=True):
            column[in_group] = value
    flagged, nobody = over_represented(p_value, fdr), np.full(m, -1, dtype=np.int64)
    return HitCounts(recognizer, hits, per_million, low, high, expected, ratio, p_value, flagged, nobody)
