"""At most how often each candidate is among the samples, with 95 % confidence for all of them together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from distributed.membership.frame import Floats, Frame
from distributed.membership.planted.likeness import Likeness
from distributed.membership.planted.people import Planted
from distributed.reduce.partial import EDGES, Partial
from distributed.statistics.power import tolerance_limit, upper_limits
from distributed.statistics.similarity import Integers

ERROR = 0.05
RECOGNISED = 0.95
"""Of people like the cohort's: whom the limits are promised for."""


@dataclass(frozen=True)
class Ceiling:
    """Upper limits of one recogniser.

    share: float64 (m,), of the samples, for each candidate; 1 where nothing is known. margin, match_rate: of
    each group, by how much a counted sample leads, and the share of a person's samples that do so, in
    RECOGNISED of people or more; NaN and 0 where that is not known. people: planted in each group.
    """

    recognizer: str
    share: Floats
    margin: Floats
    match_rate: Floats
    people: Integers
    likeness: Likeness


def ceiling_of(
    frame: Frame,
    recognizer: str,
    partials: Sequence[Partial],
    groups: Sequence[Planted],
    likeness: Likeness,
) -> Ceiling:
    """partials: of each level; groups: planted in each group of the frame.

    Half of ERROR is for hits, evenly for all candidates, half for match rates, evenly for all groups. The
    margin that counts is chosen by the cohort's hits and the planted samples, never by a candidate's hits.
    """
    m = len(frame.candidates)
    share, margin, rate = np.ones(m), np.full(len(groups), np.nan), np.zeros(len(groups))
    for index, (group, made) in enumerate(zip(frame.groups, groups, strict=True)):
        partial = partials[frame.level_of(group)]
        rates = _match_rates(made, ERROR / 2 / len(groups))
        if not rates.any():
            continue
        limits = upper_limits(partial.margin_hits, partial.samples, ERROR / 2 / m)
        with np.errstate(divide="ignore"):
            shares = np.minimum(limits / rates[:, None], 1.0)
        edge = int(shares[:, group.cohort].mean(axis=1).argmin())
        share[frame.group_of == index] = shares[edge, group.candidates]
        margin[index], rate[index] = EDGES[edge], rates[edge]
    people = np.array([len(made.person) for made in groups])
    return Ceiling(recognizer, share, margin, rate, people, likeness)


def _match_rates(made: Planted, error: float) -> Floats:
    """For each of EDGES the share of a person's samples that lead by so much, in RECOGNISED of people or
    more, float64 (e,); 0 where too few people say."""
    rates = [(made.lead >= edge).mean(axis=1) for edge in EDGES]
    return np.array([tolerance_limit(of_people, RECOGNISED, error) or 0.0 for of_people in rates])
