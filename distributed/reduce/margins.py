"""Margins: how much better a sample fits one person than it fits the other people whom it fits best."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from distributed.statistics.similarity import Floats, Integers, Pairs, Singles

RIVALS = 8
"""Other people whom a sample is held against."""
SOFTNESS = 0.03
"""Temperature of the soft maximum over rivals. At 0 it is the best of them alone: fewer lookalikes are
flagged, and fewer members; a mean over them is the other end. Chosen in simulated worlds: docs/method.md."""
LISTED = RIVALS + 4
"""So many people are listed of a sample: the rivals, the person and up to three twins."""


@dataclass(frozen=True)
class Twins:
    """Pairs of people in the gallery who may be one person under two names: none is the other's rival.

    has: bool (P,), who has a twin. keys: int64, rising, i·P + j for every such pair, both ways.
    """

    has: NDArray[np.bool_]
    keys: Integers

    @classmethod
    def of(cls, left: Integers, right: Integers, people: int) -> Self:
        """left, right: int64 (t,), the two people of each pair."""
        has = np.zeros(people, np.bool_)
        has[left] = has[right] = True
        return cls(has, np.unique(np.concatenate([left * people + right, right * people + left])))

    @classmethod
    def none(cls, people: int) -> Self:
        nobody = np.empty(0, np.int64)
        return cls.of(nobody, nobody, people)

    def are(self, person: Integers, other: Integers) -> NDArray[np.bool_]:
        """Whether person and other, of one shape, are twins, or the same entry of the gallery."""
        same: NDArray[np.bool_] = person == other
        return same | np.isin(person * len(self.has) + other, self.keys)


@dataclass(frozen=True)
class Lists:
    """The LISTED people whom each of n samples is most similar to; equal similarities in the order of people.

    similarity: float32 (n, LISTED), falling, padded with -inf; person: int64 (n, LISTED), padded with -1.
    """

    similarity: Singles
    person: Integers

    @classmethod
    def ordered(cls, similarity: Singles, person: Integers) -> Self:
        """The first LISTED of people in any order, of arrays (n, any)."""
        if similarity.shape[1] < LISTED:
            missing = ((0, 0), (0, LISTED - similarity.shape[1]))
            similarity = np.pad(similarity, missing, constant_values=-np.inf)
            person = np.pad(person, missing, constant_values=-1)
        order = np.lexsort((person, -similarity), axis=1)[:, :LISTED]
        return cls(np.take_along_axis(similarity, order, axis=1), np.take_along_axis(person, order, axis=1))

    def __getitem__(self, rows: Integers) -> Lists:
        return Lists(self.similarity[rows], self.person[rows])

    def leaders(self, twins: Twins) -> tuple[Integers, Floats]:
        """Of each sample the best person, and by how much beyond the best other one who is no twin.

        Without any listed, by the whole similarity, as `margins` are.
        """
        person = self.person[:, 0]
        others = ~twins.are(np.broadcast_to(person[:, None], self.person.shape), self.person)
        second = np.where(others, self.similarity, -np.inf).max(axis=1).astype(np.float64)
        rival = np.where(np.isfinite(second), second, 0.0)
        lead: Floats = np.subtract(self.similarity[:, 0], rival, dtype=np.float64)
        return person, lead


def margins(pairs: Pairs, lists: Lists, row: Integers, twins: Twins) -> tuple[Singles, NDArray[np.int32]]:
    """The margin of each pair of person (left) and sample, float32 (p,), and the sample's best other person.

    lists: of samples; row: int64 (p,), the list of each pair's sample. The margin is the pair's similarity
    less ρ log Σ exp(s_j / ρ), a soft maximum over the similarities s_j of the sample's RIVALS best other
    people, candidates and cohort alike, with ρ = SOFTNESS. Twins of the person are left out; among LISTED
    people there may then be fewer rivals. Without any, the margin is the similarity.
    """
    soft, listed = _soft_maxima(lists.similarity), lists.person[:, : RIVALS + 1]
    own = pairs.left[:, None] == listed[row]
    # The place to leave out: the person's own, or the last one, beyond the rivals.
    place = np.where(own.any(axis=1), own.argmax(axis=1), RIVALS)
    rival, other = soft[row, place], listed[row, (place == 0).astype(np.int64)]
    twin = np.flatnonzero(twins.has[pairs.left])
    if len(twin):
        rival[twin], other[twin] = _without_twins(pairs.left[twin], lists[row[twin]], twins)
    margin = pairs.similarity - np.where(np.isfinite(rival), rival, 0.0)
    return margin.astype(np.float32), other.astype(np.int32)


def _soft_maxima(similarity: Singles) -> Floats:
    """Of each list the soft maximum of its first RIVALS + 1 without one of them, float64 (n, RIVALS + 1)."""
    first = similarity[:, : RIVALS + 1].astype(np.float64)
    terms = np.exp((first - first[:, :1]) / SOFTNESS)
    sums = [
        sum((terms[:, j] for j in range(RIVALS + 1) if j != place), np.zeros(len(first)))
        for place in range(RIVALS + 1)
    ]
    with np.errstate(divide="ignore"):
        soft: Floats = first[:, :1] + SOFTNESS * np.log(np.stack(sums, axis=1))
    return soft


def _without_twins(person: Integers, lists: Lists, twins: Twins) -> tuple[Floats, Integers]:
    """The soft maximum over the rivals of each person, less twins, and the best of them; lists: one each."""
    listed = lists.person
    rivals = ~twins.are(np.broadcast_to(person[:, None], listed.shape), listed) & (listed >= 0)
    best = np.where(rivals.any(axis=1), listed[np.arange(len(listed)), rivals.argmax(axis=1)], -1)
    rivals &= np.cumsum(rivals, axis=1) <= RIVALS
    top = lists.similarity[:, :1].astype(np.float64)
    with np.errstate(divide="ignore"):
        terms = np.where(rivals, np.exp((lists.similarity - top) / SOFTNESS), 0.0)
        soft: Floats = top[:, 0] + SOFTNESS * np.log(terms.sum(axis=1))
    return soft, best
