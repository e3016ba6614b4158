"""Inner products of samples with people in float32, and what of them is near enough to matter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from distributed.statistics.similarity import Floats, Integers, Pairs, Singles

SAMPLES_AT_ONCE = 512
PEOPLE_AT_ONCE = 1024
"""A tile of products of this size, 2 MB, stays in a core's cache while it is looked through."""


@dataclass(frozen=True)
class Best:
    """The people whom each of n samples is most similar to, by float32 products.

    similarity: float32 (n, depth), falling, padded with -inf; person: int64 (n, depth), padded with -1.
    """

    similarity: Singles
    person: Integers


class Products(Protocol):
    """Compares samples with people who are known from the start, on one device."""

    def kth(self, samples: Singles, k: int) -> Floats:
        """Of each person the k-th largest product with samples (n, d), n >= k, float64 (P,)."""

    def compare(self, samples: Singles, floors: Singles, depth: int) -> tuple[Pairs, Best]:
        """All pairs (left: person, right: row of samples) of a product of at least the person's floor (P,),
        and the `depth` best people of each sample. Pairs come in no special order."""


class TiledProducts:
    """On a CPU: each product is made once, tile by tile, and looked through while it is in the cache."""

    def __init__(self, people: Singles) -> None:
        """people: float32 (P, d)."""
        self._people = people
        self._tile = np.empty(SAMPLES_AT_ONCE * PEOPLE_AT_ONCE, np.float32)
        self._passed = np.empty(SAMPLES_AT_ONCE * PEOPLE_AT_ONCE, np.bool_)

    def kth(self, samples: Singles, k: int) -> Floats:
        """See `Products`."""
        values = np.empty(len(self._people))
        rows = max(1, SAMPLES_AT_ONCE * PEOPLE_AT_ONCE // len(samples))
        for start in range(0, len(self._people), rows):
            products = self._people[start : start + rows] @ samples.T
            values[start : start + rows] = np.partition(products, -k, axis=1)[:, -k]
        return values

    def compare(self, samples: Singles, floors: Singles, depth: int) -> tuple[Pairs, Best]:
        """See `Products`."""
        parts, tops = [Pairs.none()], []
        for start in range(0, len(samples), SAMPLES_AT_ONCE):
            rows = samples[start : start + SAMPLES_AT_ONCE]
            best = _TopTwo(len(rows)) if depth == 2 else _TopList(len(rows), depth)
            for first in range(0, len(self._people), PEOPLE_AT_ONCE):
                products = self._products(rows, first)
                parts.append(self._above(products, floors[first : first + PEOPLE_AT_ONCE], first, start))
                best.add(products, first)
            tops.append(best.result())
        if not tops:
            return Pairs.none(), Best(np.empty((0, depth), np.float32), np.empty((0, depth), np.int64))
        return Pairs.joined(parts), Best(
            np.concatenate([top.similarity for top in tops]), np.concatenate([top.person for top in tops])
        )

    def _products(self, rows: Singles, first: int) -> Singles:
        people = self._people[first : first + PEOPLE_AT_ONCE]
        out = self._tile[: len(rows) * len(people)].reshape(len(rows), len(people))
        return np.matmul(rows, people.T, out=out)

    def _above(self, products: Singles, floors: Singles, first: int, start: int) -> Pairs:
        passed = self._passed[: products.size].reshape(products.shape)
        np.greater_equal(products, floors, out=passed)
        # Many times as fast as nonzero of a matrix.
        row, column = np.divmod(np.flatnonzero(passed), products.shape[1])
        return Pairs(column + first, row + start, products[row, column])


class _TopTwo:
    """The two best people of each sample, people coming in parts."""

    def __init__(self, rows: int) -> None:
        self._row = np.arange(rows)
        self._first, self._second = np.full(rows, -np.inf, np.float32), np.full(rows, -np.inf, np.float32)
        self._person, self._other = np.full(rows, -1, np.int64), np.full(rows, -1, np.int64)

    def add(self, products: Singles, first: int) -> None:
        """Overwrites products."""
        for _ in range(2):
            place = products.argmax(axis=1)
            value = products[self._row, place]
            products[self._row, place] = -np.inf
            self._insert(value, place + first)

    def _insert(self, value: Singles, person: Integers) -> None:
        better, second = value > self._first, value > self._second
        self._second = np.where(better, self._first, np.where(second, value, self._second))
        self._other = np.where(better, self._person, np.where(second, person, self._other))
        self._first = np.where(better, value, self._first)
        self._person = np.where(better, person, self._person)

    def result(self) -> Best:
        return Best(
            np.stack([self._first, self._second], axis=1), np.stack([self._person, self._other], axis=1)
        )


class _TopList:
    """The best people of each sample, people coming in parts.

    What passes the last place so far waits, and is sorted in each time that the people seen have doubled.
    """

    def __init__(self, rows: int, depth: int) -> None:
        self._depth, self._seen, self._sorted = depth, 0, 0
        self._similarity = np.full((rows, depth), -np.inf, np.float32)
        self._person = np.full((rows, depth), -1, np.int64)
        self._waiting: list[Pairs] = []

    def add(self, products: Singles, first: int) -> None:
        people = products.shape[1]
        if not self._seen and people > 4 * self._depth:
            self._begin(products, first)
        else:
            self._wait(products, self._similarity[:, -1], first)
        self._seen += people
        if self._seen >= 2 * self._sorted:
            self._place()

    def _begin(self, products: Singles, first: int) -> None:
        people = products.shape[1]
        # Partitioned values and a comparison take a third of the time of partitioned places.
        lowest = np.partition(products, people - self._depth, axis=1)[:, people - self._depth]
        passing = np.flatnonzero(products >= lowest[:, None])
        if len(passing) > self._person.size:  # of equal products
            self._wait(products, lowest, first)
            return
        person = passing.reshape(self._person.shape) % people
        similarity = np.take_along_axis(products, person, axis=1)
        order = np.argsort(-similarity, axis=1)
        self._similarity = np.take_along_axis(similarity, order, axis=1)
        self._person = np.take_along_axis(person, order, axis=1) + first

    def _wait(self, products: Singles, lowest: Singles, first: int) -> None:
        row, column = np.divmod(np.flatnonzero(products >= lowest[:, None]), products.shape[1])
        self._waiting.append(Pairs(row, column + first, products[row, column]))

    def result(self) -> Best:
        self._place()
        return Best(self._similarity, self._person)

    def _place(self) -> None:
        self._sorted = self._seen
        waiting, self._waiting = Pairs.joined([Pairs.none(), *self._waiting]), []
        if not len(waiting):
            return
        row = np.unique(waiting.left)
        known = row.repeat(self._depth), self._person[row].ravel(), self._similarity[row].ravel()
        left = np.concatenate([known[0], waiting.left])
        person = np.concatenate([known[1], waiting.right])
        similarity = np.concatenate([known[2], waiting.similarity])
        order = np.lexsort((-similarity, left))
        left, person, similarity = left[order], person[order], similarity[order]
        rank = rank_in_group(left)
        kept = rank < self._depth
        self._similarity[left[kept], rank[kept]] = similarity[kept]
        self._person[left[kept], rank[kept]] = person[kept]


def rank_in_group(groups: NDArray[np.int64]) -> Integers:
    """The place of each element in its run of equal elements, from 0. groups: int64 (p,), rising."""
    return np.arange(len(groups)) - np.searchsorted(groups, groups)


def padded(best: Best, depth: int) -> Best:
    """The lists with room for `depth` people, where there are fewer."""
    missing = ((0, 0), (0, depth - best.person.shape[1]))
    return Best(
        np.pad(best.similarity, missing, constant_values=-np.inf),
        np.pad(best.person, missing, constant_values=-1),
    )
