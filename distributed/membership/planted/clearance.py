"""In which share of the samples a person is not: who scores lower than people who are planted in so many."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from scipy.stats import binom

from distributed.membership.frame import Frame
from distributed.membership.judgement import Judgement
from distributed.membership.planted.reach import GroupReach, Reach, reaches_of
from distributed.statistics.calibration import Q_DECIMALS, benjamini_hochberg
from distributed.statistics.power import LEAST_PEOPLE, STEPS
from distributed.statistics.similarity import Floats
from schemas.spec.membership import MembershipSpec

ERROR = 0.05
"""Of those who are cleared at a share, at most so many are in it or in more, on average."""
CLEARED_SHARES: Floats = 10.0 ** (np.arange(-60, 1) / 10)
"""Ten a decade, from 1 of a million samples to all."""


def with_clearance(
    frame: Frame, judgements: Iterable[Judgement], reach: Reach, membership: MembershipSpec
) -> list[Judgement]:
    """Every decision with the smallest share of the samples at which the candidate is cleared."""
    known = list(judgements)
    return [
        replace(
            judgement,
            decisions=[
                replace(decision, cleared_at=None if np.isnan(share) else share)
                for decision, share in zip(
                    judgement.decisions,
                    cleared_at(clearing_p_values(frame, judgement, known, reach, membership)).tolist(),
                    strict=True,
                )
            ],
        )
        for judgement in known
    ]


def clearing_p_values(
    frame: Frame,
    judgement: Judgement,
    judgements: Iterable[Judgement],
    reach: Reach,
    membership: MembershipSpec,
) -> Floats:
    """That each candidate is in CLEARED_SHARES of the samples or more, float64 (m, CLEARED_SHARES).

    By the judgement's own score; by one that combines recognisers, the largest of each one's. 1 where fewer
    than LEAST_PEOPLE of a group could be planted.
    """
    scores = {id(reach.get((of.recognizer, of.score_name))): of.calibrated.score for of in judgements}
    p_values = np.ones((len(frame.candidates), len(CLEARED_SHARES)))
    for index in range(len(frame.groups)):
        inside = frame.group_of == index
        p_values[inside] = np.max(
            [
                group_p_values(scores[id(groups)][inside], groups[index])
                for groups in reaches_of(reach, judgement, membership.scores)
            ],
            axis=0,
        )
    return p_values


def group_p_values(scores: Floats, group: GroupReach) -> Floats:
    """Of m candidates of one group, by their scores (m,): float64 (m, CLEARED_SHARES).

    p(u) = (1 + Σ_k P(S_k(u) <= s)) / (k + 1), S_k(u) being the score of the k-th planted person with a
    binomial number of their samples. It is valid for a person who is exchangeable with them, whatever the
    sequences of one person have in common (Lee, Barber and Willett 2023, Distribution-free inference with
    hierarchical data, arXiv 2306.06342). A number between two STEPS counts as the smaller one, which makes p
    larger; and p(u) is the largest of all shares from u on, so that it falls.
    """
    people, draws, _ = group.planted.shape
    if people < LEAST_PEOPLE:
        return np.ones((len(scores), len(CLEARED_SHARES)))
    below = [np.searchsorted(np.sort(group.own), scores, side="right").astype(np.float64)]
    for step in range(len(STEPS)):
        reached = np.sort(group.planted[:, :, step].ravel())
        below.append(np.searchsorted(reached, scores, side="right") / draws)
    least = np.array([0, *STEPS])
    enough = binom.sf(least - 1, group.samples, CLEARED_SHARES[:, None])
    chance = enough - np.append(enough[:, 1:], np.zeros((len(enough), 1)), axis=1)
    p_values = (1 + np.stack(below, axis=1) @ chance.T) / (people + 1)
    falling: Floats = np.maximum.accumulate(p_values[:, ::-1], axis=1)[:, ::-1]
    return np.minimum(falling, 1.0)


def cleared_at(p_values: Floats) -> Floats:
    """The smallest share at which each of m people is cleared, float64 (m,); NaN at none.

    p_values: from `clearing_p_values`. At every share, by itself, Benjamini and Hochberg's procedure over the
    m people at ERROR. As p-values fall, who is cleared at a share is cleared at all larger ones: so of those
    whose share is u or less, at most ERROR on average are in more than u of the samples. For a selection of
    people pass their rows alone.
    """
    shares = np.full(len(p_values), np.nan)
    for place in reversed(range(len(CLEARED_SHARES))):
        cleared = benjamini_hochberg(p_values[:, place]) <= round(ERROR, Q_DECIMALS)
        if not cleared.any():
            break
        shares[cleared] = CLEARED_SHARES[place]
    return shares
