"""The similarity from which on two photos count as one person's, at a stated false match rate."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from math import floor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distributed.statistics.similarity import (
    Comparer,
    Integers,
    Pairs,
    Singles,
    Templates,
    exact_products,
    guard_band,
)

PRODUCTS_AT_ONCE = 2**22


@dataclass(frozen=True)
class OperatingPoint:
    """A similarity threshold, the false match rate that it has, and the comparisons that this rests on."""

    threshold: float
    fmr: float
    comparisons: int


def operating_threshold(templates: NDArray[Any], identity: Integers, fmr: float) -> OperatingPoint:
    """The smallest float32 threshold whose false match rate among photos is at most fmr.

    templates: (g, d), float; identity: int64 (g,), counting from 0. The rate is the share of non-mated
    comparisons (each pair of photos of different identities, once) with similarity >= threshold: FMR as in
    ISO/IEC 19795-1. With fewer than 1/fmr comparisons the threshold lies just above all of them and the
    rate is 0. Raises ValueError without non-mated comparisons, or if fmr is not between 0 and 1.
    """
    rows = Templates.of(templates)
    point = _threshold(rows, identity, rows, identity, fmr)
    return replace(point, comparisons=point.comparisons // 2)


def person_threshold(
    people: Singles, person: Integers, photos: Singles, owner: Integers, fmr: float
) -> OperatingPoint:
    """As `operating_threshold`, of templates of people with photos of others.

    people: float32 (p, d), photos: float32 (g, d), rows of length 1 or 0; person, owner: int64 (p,) and (g,),
    whose they are, counting from 0. Every template is compared with every photo of somebody else.
    """
    left, right = (Templates(rows.astype(np.float64), rows) for rows in (people, photos))
    return _threshold(left, person, right, owner, fmr)


def _threshold(
    people: Templates, person: Integers, photos: Templates, owner: Integers, fmr: float
) -> OperatingPoint:
    if not 0 < fmr < 1:
        raise ValueError(f"a false match rate lies between 0 and 1, not {fmr}")
    size = max(int(person.max(initial=0)), int(owner.max(initial=0))) + 1
    mated = int((np.bincount(person, minlength=size) * np.bincount(owner, minlength=size)).sum())
    comparisons = len(people) * len(photos) - mated
    if comparisons == 0:
        raise ValueError("an operating threshold needs photos of at least two identities")
    allowed = floor(Fraction(str(fmr)) * comparisons)
    closest = _closest_non_mated(people.rounded, person, photos.rounded, owner, allowed + 1)
    refused, accepted = _order_statistic(people, photos, closest, allowed)
    threshold = np.nextafter(refused, np.float32(np.inf))
    return OperatingPoint(float(threshold), accepted / comparisons, comparisons)


def _closest_non_mated(
    people: Singles, person: Integers, photos: Singles, owner: Integers, count: int
) -> Pairs:
    """All non-mated pairs that can be among the `count` most similar, and few others; bounded memory."""
    rows = max(1, PRODUCTS_AT_ONCE // len(photos))
    closest, lowest, comparer = Pairs.none(), -np.inf, Comparer(photos)
    for start in range(0, len(people), rows):
        left = people[start : start + rows]
        pairs = comparer.pairs_above(left, np.full(len(left), lowest))
        pairs = replace(pairs, left=pairs.left + start)
        closest = Pairs.joined([closest, pairs[person[pairs.left] != owner[pairs.right]]])
        if len(closest) > 2 * count:
            lowest = _product_of_rank(closest, count) - 2 * guard_band(photos.shape[1])
            closest = closest[closest.similarity >= lowest]
    return closest


def _product_of_rank(pairs: Pairs, rank: int) -> float:
    return float(np.partition(pairs.similarity, -rank)[-rank])


def _order_statistic(
    people: Templates, photos: Templates, closest: Pairs, allowed: int
) -> tuple[np.float32, int]:
    """The largest canonical similarity that at most `allowed` pairs exceed, and how many exceed it.

    Only pairs within two guard bands of that rank's product can hold the rank; the others keep their side.
    """
    guard = guard_band(photos.rounded.shape[1])
    product = _product_of_rank(closest, allowed + 1)
    above = closest.similarity > product + 2 * guard
    near = closest[~above & (closest.similarity >= product - 2 * guard)]
    similarity = np.sort(exact_products(people.exact, photos.exact, near))[::-1]
    certain = int(above.sum())
    refused = similarity[allowed - certain]
    return refused, certain + int((similarity > refused).sum())
