"""In which share of the samples a person is not: who scores lower than people who are planted in so many."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from scipy.stats import binom

from distributed.membership.frame import Frame
from distributed.membership.judgement import Judgement
from distributed.membership.planted.reach import GroupReach, Reach, reaches_of
from distributed.statistics.calibration import largest_rejected
from distributed.statistics.power import LEAST_PEOPLE, STEPS
from distributed.statistics.similarity import Floats, Integers
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
            decisions=replace(
                judgement.decisions, cleared_at=_cleared_at(frame, judgement, known, reach, membership)
            ),
        )
        for judgement in known
    ]


def _cleared_at(
    frame: Frame,
    judgement: Judgement,
    judgements: Iterable[Judgement],
    reach: Reach,
    membership: MembershipSpec,
) -> Floats:
    p_values, row = clearing_p_values(frame, judgement, judgements, reach, membership)
    return cleared_at(p_values, np.bincount(row, minlength=len(p_values)))[row]


def clearing_p_values(
    frame: Frame,
    judgement: Judgement,
    judgements: Iterable[Judgement],
    reach: Reach,
    membership: MembershipSpec,
) -> tuple[Floats, Integers]:
    """That each candidate is in CLEARED_SHARES of the samples or more: float64 (r, CLEARED_SHARES), and the
    row of each candidate, int64 (m,), as many have the same p-values.

    By the judgement's own score; by one that combines recognisers, the largest of each one's. 1 where fewer
    than LEAST_PEOPLE of a group could be planted.
    """
    scores = {id(reach.get((of.recognizer, of.score_name))): of.calibrated.score for of in judgements}
    tables, row = [np.empty((0, len(CLEARED_SHARES)))], np.empty(len(frame.candidates), np.int64)
    for index in range(len(frame.groups)):
        inside = np.flatnonzero(frame.group_of == index)
        parts = [
            group_p_values(scores[id(groups)][inside], groups[index])
            for groups in reaches_of(reach, judgement, membership.scores)
        ]
        p_values, places = parts[0]
        if len(parts) > 1:
            places = np.arange(len(inside))
            p_values = np.max([values[rows] for values, rows in parts], axis=0)
        row[inside] = places + sum(map(len, tables))
        tables.append(p_values)
    return np.concatenate(tables), row


def group_p_values(scores: Floats, group: GroupReach) -> tuple[Floats, Integers]:
    """Of m candidates of one group, by their scores (m,): float64 (r, CLEARED_SHARES), and each one's row.

    Scores between the same two of planted people have the same p-values, however many candidates there are.

    p(u) = (1 + Σ_k P(S_k(u) <= s)) / (k + 1), S_k(u) being the score of the k-th planted person with a
    binomial number of their samples. It is valid for a person who is exchangeable with them, whatever the
    sequences of one person have in common (Lee, Barber and Willett 2023, Distribution-free inference with
    hierarchical data, arXiv 2306.06342). A number between two STEPS counts as the smaller one, which makes p
    larger; and p(u) is the largest of all shares from u on, so that it falls.
    """
    people = len(group.planted)
    if people < LEAST_PEOPLE:
        return np.ones((1, len(CLEARED_SHARES))), np.zeros(len(scores), np.int64)
    planted = [np.sort(group.own), *np.sort(group.planted.reshape(-1, len(STEPS)).T, axis=1)]
    bounds = np.append(-np.inf, np.unique(np.concatenate(planted)))
    intervals, row = np.unique(np.searchsorted(bounds, scores, side="right") - 1, return_inverse=True)
    # A sequence counts for 1/draws of its person.
    below = [
        np.searchsorted(values, bounds[intervals], side="right") * people / len(values) for values in planted
    ]
    least = np.array([0, *STEPS])
    enough = binom.sf(least - 1, group.samples, CLEARED_SHARES[:, None])
    chance = enough - np.append(enough[:, 1:], np.zeros((len(enough), 1)), axis=1)
    p_values = (1 + np.stack(below, axis=1) @ chance.T) / (people + 1)
    falling: Floats = np.maximum.accumulate(p_values[:, ::-1], axis=1)[:, ::-1]
    return np.minimum(falling, 1.0), row


def cleared_at(p_values: Floats, people: Integers | None = None) -> Floats:
    """The smallest share at which each of r rows of people is cleared, float64 (r,); NaN at none.

    p_values: rows from `clearing_p_values`. people: int64 (r,), how many have each row, 1 if not given. At
    every share, by itself, Benjamini and Hochberg's procedure over all people at ERROR. As p-values fall, who
    is cleared at a share is cleared at all larger ones: so of those whose share is u or less, at most ERROR
    on average are in more than u of the samples. For a selection of people pass their rows alone.
    """
    people = np.ones(len(p_values), np.int64) if people is None else people
    shares = np.full(len(p_values), np.nan)
    for place in reversed(range(len(CLEARED_SHARES))):
        largest = largest_rejected(p_values[:, place], people, ERROR)
        if largest is None:
            break
        shares[p_values[:, place] <= largest] = CLEARED_SHARES[place]
    return shares
