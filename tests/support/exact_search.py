"""What a search of people must find, by float64 brute force and none of its code."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from scipy.special import logsumexp

from distributed.reduce.margins import LISTED, RIVALS, SOFTNESS
from distributed.reduce.partial import EDGES, Partial, empty
from distributed.statistics.similarity import Singles
from tests.support.template_worlds import World, products

PairsOfPeople = Collection[tuple[int, int]]
MARGIN_ERROR = 5e-7
"""A float32 margin is rounded once, from sums of float64 exponentials that differ in their last bits."""


def exact_search(world: World, k: int, threshold: float | None = None, twins: PairsOfPeople = ()) -> Partial:
    """twins: pairs of people, each in either order."""
    similarity = products(world.people, world.samples)
    people, n = similarity.shape
    near = empty(people, k).neighbours
    for person in range(people):
        ranked = sorted(range(n), key=lambda row: (-similarity[person, row], world.sample_id[row]))
        for place, row in enumerate(ranked[:k]):
            margin, other = exact_margin(similarity[:, row], person, twins)
            near.similarity[person, place], near.margin[person, place] = similarity[person, row], margin
            near.sample_id[person, place], near.best_other[person, place] = world.sample_id[row], other
    margin_hits = np.zeros((len(EDGES), people), np.int64)
    for row in range(n):
        leader, lead = exact_lead(similarity[:, row], twins)
        margin_hits[:, leader] += lead >= np.array(EDGES)
    hits = np.zeros(people, np.int64)
    if threshold is not None:
        hits = (similarity.astype(np.float64) >= threshold).sum(axis=1)
    return Partial(near, margin_hits, hits, n)


def exact_margin(similarity: Singles, person: int, twins: PairsOfPeople = ()) -> tuple[float, int]:
    """The margin of a person and one sample, whose similarities to all people are given, and the best other
    person, −1 if there is none."""
    others = [other for other in ranked_people(similarity) if other != person]
    if any(person in pair for pair in twins):
        listed = ranked_people(similarity)[:LISTED]
        others = [other for other in listed if other != person and not _are_twins(person, other, twins)]
    if not others:
        return float(similarity[person]), -1
    rivals = similarity[others[:RIVALS]].astype(np.float64)
    return float(similarity[person] - SOFTNESS * logsumexp(rivals / SOFTNESS)), others[0]


def exact_lead(similarity: Singles, twins: PairsOfPeople = ()) -> tuple[int, float]:
    """Whom a sample is most similar to, and by how much more than to the best other one who is no twin."""
    leader, *others = ranked_people(similarity)[:LISTED]
    rivals = [float(similarity[other]) for other in others if not _are_twins(leader, other, twins)]
    return leader, float(similarity[leader]) - max(rivals, default=0.0)


def ranked_people(similarity: Singles) -> list[int]:
    return sorted(range(len(similarity)), key=lambda person: (-similarity[person], person))


def _are_twins(a: int, b: int, twins: PairsOfPeople) -> bool:
    return (a, b) in twins or (b, a) in twins


def require_equal(actual: Partial, expected: Partial) -> None:
    """Equal to the last bit, but for margins, which are equal to within MARGIN_ERROR."""
    for name in ("similarity", "sample_id", "best_other"):
        np.testing.assert_array_equal(
            getattr(actual.neighbours, name), getattr(expected.neighbours, name), err_msg=name
        )
    np.testing.assert_allclose(
        actual.neighbours.margin, expected.neighbours.margin, rtol=0, atol=MARGIN_ERROR, err_msg="margin"
    )
    np.testing.assert_array_equal(actual.margin_hits, expected.margin_hits, err_msg="margin_hits")
    np.testing.assert_array_equal(actual.hits, expected.hits, err_msg="hits")
    assert actual.samples == expected.samples


def as_bytes(partial: Partial) -> tuple[bytes, ...]:
    """All of a partial result, to the last bit."""
    near = partial.neighbours
    singles, integers = [near.similarity, near.margin], [near.sample_id, partial.margin_hits, partial.hits]
    assert {array.dtype for array in singles} == {np.dtype(np.float32)}
    assert {array.dtype for array in integers} == {np.dtype(np.int64)}
    assert near.best_other.dtype == np.int32
    parts = [array.tobytes() for array in singles] + [array.tobytes() for array in integers]
    return (*parts, near.best_other.tobytes(), str(partial.samples).encode())
