"""Whether two people of a gallery are one person, by their templates: arrays in, numbers out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from distributed.statistics.similarity import (
    Comparer,
    Floats,
    Integers,
    Pairs,
    Templates,
    canonical,
    guard_band,
)

CHANCE_PAIRS = 0.01
"""Pairs of different people that are expected above the threshold, among all that are compared."""
LEAST_PEOPLE = 32
"""With fewer, the ranks that the threshold is extrapolated from lie too near to the middle."""
LOW_MATED = 0.02
"""Share of people whose own photos may be less alike than the mated level."""
LEAST_MATED = 10
STRANGERS = 0.01
"""Share of other people's photos that are as much like a person as `strangers_level`."""
PRODUCTS = 2**24
"""Of so many, at most, quantiles are taken: 64 MB."""
ROWS_AT_ONCE = 1024


@dataclass(frozen=True)
class People:
    """P people by their g photos, all relative to the average person.

    photos: float64 (g, d), each photo's unit template less the mean of people's means, of unit length again.
    identity: int64 (g,), 0 to P − 1, everyone with a photo. counts: int64 (P,), photos. length: float64 (P,),
    of the mean of a person's photos. unit: that mean, of unit length.
    """

    photos: Floats
    identity: Integers
    counts: Integers
    length: Floats
    unit: Templates

    @classmethod
    def of(cls, templates: NDArray[Any], identity: Integers) -> Self:
        """templates: (g, d), float; identity: int64 (g,). Raises ValueError for one without a direction.

        The mean person is taken off because a recogniser may give all faces something in common, which says
        nothing of who is who.
        """
        photos, counts = Templates.of(templates).exact, np.bincount(identity).astype(np.int64)
        photos = _unit(photos - _means(photos, identity, counts).mean(axis=0))[0]
        unit, length = _unit(_means(photos, identity, counts))
        return cls(photos, identity, counts, length, Templates(unit, unit.astype(np.float32)))

    @property
    def pairs(self) -> int:
        """How many pairs of people there are."""
        return len(self.counts) * (len(self.counts) - 1) // 2


def _means(photos: Floats, identity: Integers, counts: Integers) -> Floats:
    sums = np.zeros((len(counts), photos.shape[1]))
    np.add.at(sums, identity, photos)
    means: Floats = sums / counts[:, None]
    return means


def _unit(rows: Floats) -> tuple[Floats, Floats]:
    """Rows of unit length, and the lengths; a row of zeros stays one."""
    length = np.sqrt((rows * rows).sum(axis=1))
    return rows / np.where(length > 0, length, 1.0)[:, None], length


def own_similarity(people: People) -> Floats:
    """The mean similarity of two photos of each person, float64 (P,); NaN with one photo."""
    n = people.counts.astype(np.float64)
    sums = (people.length * n) ** 2
    return np.where(n > 1, (sums - n) / np.maximum(n * (n - 1), 1), np.nan)


def mated_level(own: Floats) -> float | None:
    """The mean similarity that photos of one person have in all but LOW_MATED of the people; None if fewer
    than LEAST_MATED have two. own: from `own_similarity`."""
    known = own[~np.isnan(own)]
    return float(np.quantile(known, LOW_MATED)) if len(known) >= LEAST_MATED else None


def chance_threshold(people: People) -> float | None:
    """The similarity that CHANCE_PAIRS pairs of different people are expected to reach, to four decimals.

    The largest similarities cannot show what chance gives, as they are the ones in doubt. So the angle
    arcsin(s) is taken to be normal in the upper tail, by a line through two points of its normal quantile
    plot: the P-th and the 10 P-th largest of the P(P − 1)/2 similarities. Up to P pairs, as many as when
    everybody is there three times, can be one person without moving it much. Angles of random directions have
    a tail that is a little lighter than normal's; where groups of people look alike it may be heavier, which
    CHANCE_PAIRS, far below 1, makes room for. Above 6,000 people the quantiles are of evenly spaced rows.

    None if that lies beyond what similarities can be. Raises ValueError with fewer than LEAST_PEOPLE.
    """
    count = len(people.counts)
    if count < LEAST_PEOPLE:
        raise ValueError(f"a threshold needs {LEAST_PEOPLE} people or more, not {count}")
    rows = _evenly_spaced(count, PRODUCTS // count)
    products = people.unit.rounded[rows] @ people.unit.rounded.T
    products[np.arange(len(rows)), rows] = -np.inf
    shares = np.array([2 / (count - 1), min(20 / (count - 1), 0.2)])
    ranks = np.maximum((shares * len(rows) * (count - 1)).astype(np.int64), 1)
    upper, lower = np.arcsin(np.clip(_largest(products.ravel(), ranks), -1, 1))
    normal = norm.isf(shares)
    slope = (upper - lower) / (normal[0] - normal[1])
    angle = upper + slope * (norm.isf(CHANCE_PAIRS / people.pairs) - normal[0])
    return None if slope <= 0 or angle >= np.pi / 2 else round(float(np.sin(angle)), 4)


def _evenly_spaced(count: int, wanted: int) -> Integers:
    return np.unique(np.linspace(0, count - 1, max(1, min(count, wanted))).astype(np.int64))


def _largest(values: NDArray[Any], ranks: Integers) -> Floats:
    """The values of these ranks, 1 being the largest."""
    places = len(values) - ranks
    return np.partition(values, places)[places].astype(np.float64)


def matching_pairs(people: People, threshold: float, mated: float | None) -> Pairs:
    """Pairs of people who may be one, left < right in the order of rows; similarity of their `unit`.

    Both must hold: the similarity reaches `threshold`; and the mean similarity of a photo of one to a photo
    of the other reaches `mated`, the level of photos of one person, if that is known. Memory is O(P × d) and
    a block of products.
    """
    unit, floor = people.unit, threshold - guard_band(people.photos.shape[1])
    parts = [Pairs.none()]
    for start in range(0, len(unit), ROWS_AT_ONCE):
        left = unit.rounded[start : start + ROWS_AT_ONCE]
        pairs = Comparer(unit.rounded[start:]).pairs_above(left, np.full(len(left), floor))
        pairs = Pairs(pairs.left + start, pairs.right + start, pairs.similarity)
        parts.append(pairs[pairs.left < pairs.right])
    pairs = Pairs.joined(parts)
    pairs = Pairs(pairs.left, pairs.right, canonical(unit, unit, pairs))
    photos = pairs.similarity * people.length[pairs.left] * people.length[pairs.right]
    pairs = pairs[(pairs.similarity >= threshold) & (photos >= (-1.0 if mated is None else mated))]
    return pairs[np.lexsort((pairs.right, pairs.left))]


def noticeable_share(people: People, own: Floats, threshold: float, mated: float) -> float:
    """The share of the people with two photos of whom a second folder, of as many photos, would be noticed.

    As expected from how alike their photos are: with mean similarity w, means of n photos have similarity
    w / length², length² = (1 + (n − 1) w) / n.
    """
    several = people.counts > 1
    expected = own[several] / people.length[several] ** 2
    return float(((expected >= threshold) & (own[several] >= mated)).mean())


def photo_similarity(people: People) -> Floats:
    """Each photo's similarity to the mean of the person's other photos, float64 (g,); NaN without others."""
    counts = people.counts[people.identity]
    sums = people.unit.exact * (people.length * people.counts)[:, None]
    others, _ = _unit(sums[people.identity] - people.photos)
    return np.where(counts > 1, (others * people.photos).sum(axis=1), np.nan)


def strangers_level(people: People) -> float:
    """The similarity that STRANGERS of all photos have to the mean of another person's photos.

    Of evenly spaced photos, if there are many. Raises ValueError with one person alone.
    """
    if len(people.counts) < 2:
        raise ValueError("strangers need a second person")
    rows = _evenly_spaced(len(people.photos), PRODUCTS // len(people.counts))
    products = people.photos[rows].astype(np.float32) @ people.unit.rounded.T
    products[np.arange(len(rows)), people.identity[rows]] = -np.inf
    strangers = len(rows) * (len(people.counts) - 1)
    rank = np.array([max(1, int(STRANGERS * strangers))])
    return float(_largest(products.ravel(), rank)[0])


def left_out(pairs: Pairs, in_cohort: NDArray[np.bool_], counts: Integers) -> NDArray[np.bool_]:
    """Who of the cohort is left out, bool (P,), so that no pair has two who stay, unless both are candidates.

    Everybody of the cohort who matches a candidate; of those who match one another, the one with the most
    photos stays, and of equal ones the first. in_cohort: bool (P,); counts: photos, int64 (P,).
    """
    out = np.zeros(len(in_cohort), dtype=np.bool_)
    matches: dict[int, list[int]] = {}
    for left, right in zip(pairs.left.tolist(), pairs.right.tolist(), strict=True):
        matches.setdefault(left, []).append(right)
        matches.setdefault(right, []).append(left)
    stay = set(np.flatnonzero(~in_cohort).tolist())
    for person in sorted(matches, key=lambda match: (-counts[match], match)):
        if in_cohort[person]:
            out[person] = not stay.isdisjoint(matches[person])
            if not out[person]:
                stay.add(person)
    return out
