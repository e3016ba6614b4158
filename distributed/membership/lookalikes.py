"""Remarks: whom the samples fit better that are similar to somebody who is not flagged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from distributed.membership.frame import Frame, Integers
from distributed.membership.judgement import Judgement
from distributed.reduce.partial import Partial
from distributed.statistics.calibration import conformal_p_values

LEAST_SHARE = 0.5
"""Of the nearest samples that must fit the other person better."""
ALIKE_P = 0.05
"""Only people are remarked on whose nearest sample is as similar as that of few of the cohort: this share."""


def with_lookalikes(
    frame: Frame, judgement: Judgement, partials: Mapping[str, Sequence[Partial]]
) -> Judgement:
    """The judgement with `resembles` of candidates who are not flagged although samples are similar to them:
    the flagged person whom more than LEAST_SHARE of those fit better. It changes no score and no verdict.

    partials: recogniser -> of each level; a score that combines recognisers takes the first.
    """
    levels = partials.get(judgement.recognizer, next(iter(partials.values())))
    flagged = judgement.flagged()
    is_flagged = np.zeros(len(frame.gallery.names), np.bool_)
    is_flagged[frame.candidates[flagged]] = True
    resembles = np.full(len(frame.candidates), -1, dtype=np.int64)
    for index, group in enumerate(frame.groups):
        near = levels[frame.level_of(group)].neighbours
        nearest = near.similarity[:, 0].astype(np.float64)
        p_value = conformal_p_values(nearest[frame.candidates], nearest[group.cohort])
        places = np.flatnonzero((frame.group_of == index) & ~flagged & (p_value <= ALIKE_P))
        people = frame.candidates[places]
        others = near.best_other[people].astype(np.int64)
        better = (near.margin[people] < 0) & (others >= 0) & is_flagged[others]
        resembles[places] = _most_frequent(np.where(better, others, -1))
    return replace(judgement, resembles=resembles)


def _most_frequent(others: Integers) -> Integers:
    """Of each row (n, k) the value that is more than LEAST_SHARE of it, or −1."""
    ordered = np.sort(others, axis=1)
    middle = ordered[:, ordered.shape[1] // 2]
    often = (others == middle[:, None]).mean(axis=1) > LEAST_SHARE
    return np.where(often, middle, -1)
