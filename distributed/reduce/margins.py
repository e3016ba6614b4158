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
        """Of each sample the best person, and by how much beyond the best other one who is no twin."""
        person = self.person[:, 0]
        others = ~twins.are(np.broadcast_to(person[:, None], self.person.shape), self.person)
        second = np.where(others, self.similarity, -np.inf).max(axis=1).astype(np.float64)
        return person, self.similarity[:, 0] - second


def margins(pairs: Pairs, lists: Lists, twins: Twins) -> tuple[Singles, NDArray[np.int32]]:
    """The margin of each pair of person (left) and sample, float32 (p,), and the sample's best other person.

    lists: of each pair's sample. The margin is the pair's similarity less ρ log Σ exp(s_j / ρ), a soft
    maximum over the similarities s_j of the sample's RIVALS best other people, candidates and cohort alike,
    with ρ = SOFTNESS. Twins of the person are left out; among LISTED people there may then be fewer rivals.
    Without any, the margin is the similarity.
    """
    rivals = pairs.left[:, None] != lists.person
    twin = np.flatnonzero(twins.has[pairs.left])
    if len(twin):
        listed = lists.person[twin]
        rivals[twin] = ~twins.are(np.broadcast_to(pairs.left[twin, None], listed.shape), listed)
    rivals &= lists.person >= 0
    best = np.where(rivals.any(axis=1), rivals.argmax(axis=1), -1)
    rivals &= np.cumsum(rivals, axis=1) <= RIVALS
    top = lists.similarity[:, :1].astype(np.float64)
    with np.errstate(divide="ignore"):
        terms = np.where(rivals, np.exp((lists.similarity - top) / SOFTNESS), 0.0)
        softest = top[:, 0] + SOFTNESS * np.log(terms.sum(axis=1))
    margin = pairs.similarity - np.where(best >= 0, softest, 0.0)
    other = np.where(best >= 0, lists.person[np.arange(len(best)), best], -1)
    return margin.astype(np.float32), other.astype(np.int32)
