"""Margins, and people who may be one person under two names."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distributed.reduce.margins import LISTED, RIVALS, Twins
from distributed.reduce.partial import EDGES, Partial
from distributed.reduce.search import search
from distributed.statistics.similarity import Singles
from tests.support.exact_search import MARGIN_ERROR, PairsOfPeople, exact_search, require_equal
from tests.support.template_worlds import World, unit, world

SEEDS = st.integers(0, 2**32 - 1)


def twins_of(pairs: PairsOfPeople, people: int) -> Twins:
    left, right = np.array(sorted(pairs), dtype=np.int64).reshape(-1, 2).T
    return Twins.of(left, right, people)


def searched(w: World, pairs: PairsOfPeople = (), k: int = 3) -> Partial:
    return search(w.people, w.samples, w.sample_id, k=k, twins=twins_of(pairs, len(w.people)))


@given(
    seed=SEEDS,
    people=st.integers(2, 30),
    n=st.integers(1, 40),
    k=st.integers(1, 12),
    copies=st.booleans(),
    share=st.sampled_from([0.05, 0.3, 1.0]),
)
@settings(deadline=None, max_examples=80)
def test_twins_are_not_each_others_rivals(
    seed: int, people: int, n: int, k: int, copies: bool, share: float
) -> None:
    w = world(seed, people=people, n=n, d=8, copies=copies)
    random = np.random.default_rng(seed)
    pairs = {(a, b) for a in range(people) for b in range(a) if random.random() < share}
    require_equal(searched(w, pairs, k), exact_search(w, k, None, pairs))


def second_names(seed: int, names: int, noise: float = 0.05) -> tuple[World, set[tuple[int, int]]]:
    """30 people; the first is there under so many more names, each with other photos of the same face. The
    samples show the first person, others, and nobody. noise: of samples."""
    random = np.random.default_rng(seed)
    people = unit(random.standard_normal((30, 64)).astype(np.float32))
    again = unit(people[:1] + 0.05 * random.standard_normal((names, 64)).astype(np.float32))
    shown = np.repeat([0, 7, 8], 10)
    samples = unit(people[shown] + noise * random.standard_normal((30, 64)).astype(np.float32))
    new = unit(random.standard_normal((30, 64)).astype(np.float32))
    everybody = np.concatenate([people, again])
    w = World(everybody, np.concatenate([samples, new]), np.arange(60))
    same = [0, *range(30, 30 + names)]
    return w, {(a, b) for a in same for b in same if a < b}


def people_of(pairs: PairsOfPeople) -> list[int]:
    """Everybody who has a twin."""
    return sorted({person for pair in pairs for person in pair})


@pytest.mark.parametrize("names", [1, 2, 3])
def test_a_second_name_costs_a_person_nothing(names: int) -> None:
    """Whoever is listed under few more names has the margins and hits that they had alone."""
    w, pairs = second_names(0, names)
    alone = searched(World(w.people[:30], w.samples, w.sample_id))
    known, unknown = searched(w, pairs), searched(w)
    np.testing.assert_allclose(known.neighbours.margin[0], alone.neighbours.margin[0], atol=MARGIN_ERROR)
    assert (known.neighbours.margin[0] > 0.3).all() and (unknown.neighbours.margin[0] < 0.1).all()
    # Each sample is nearest to one of the names, which gets its hit.
    same = [0, *range(30, 30 + names)]
    np.testing.assert_array_equal(known.margin_hits[:, same].sum(axis=1), alone.margin_hits[:, 0])
    assert alone.margin_hits[EDGES.index(0.3), 0] == 10 and not unknown.margin_hits[3:, same].any()
    assert (known.neighbours.best_other[0] < 30).all()


@pytest.mark.parametrize("names", [LISTED - 2, LISTED - 1, LISTED, 2 * LISTED])
def test_more_second_names_than_are_listed_make_no_rival_and_no_endless_margin(names: int) -> None:
    """A list full of one person's names has no rival: the margin is then the similarity, for hits as well."""
    w, pairs = second_names(1, names, noise=0.2)
    known = searched(w, pairs)
    require_equal(known, exact_search(w, 3, None, pairs))
    assert np.isfinite(known.neighbours.margin).all()
    assert known.margin_hits[0, people_of(pairs)].sum() == 10
    assert known.margin_hits[EDGES.index(0.6), people_of(pairs)].sum() < 10


def test_two_people_who_are_twins_have_no_rivals() -> None:
    people = np.eye(2, 4, dtype=np.float32)
    w = World(people, np.array([[0.3, 0.2, 0.1, 0.1]], np.float32), np.array([5]))
    partial = searched(w, {(0, 1)}, 1)
    np.testing.assert_allclose(partial.neighbours.margin.ravel(), [0.3, 0.2], atol=1e-7)
    assert partial.neighbours.best_other.ravel().tolist() == [-1, -1]
    assert partial.margin_hits[:, 0].tolist() == [1] * 6 + [0] * 4, "by 0.3 and not by 0.35"


def test_a_margin_equals_its_formula_with_few_and_many_rivals() -> None:
    """Of rivals who are equally similar there is log of their number times the softness; no more than
    RIVALS count."""
    for rivals in (1, 2, RIVALS, RIVALS + 1, 3 * RIVALS):
        people = np.zeros((rivals + 1, 4), np.float32)
        people[0, 0], people[1:, 1] = 1, 1
        w = World(people, np.array([[0.5, 0.25, 0, 0]], np.float32), np.array([0]))
        margin = searched(w, k=1).neighbours.margin[0, 0]
        assert margin == pytest.approx(0.5 - 0.25 - 0.03 * np.log(min(rivals, RIVALS)), abs=1e-7)


@given(seed=SEEDS, people=st.integers(2, 40), copies=st.booleans())
@settings(deadline=None, max_examples=40)
def test_a_permutation_of_people_permutes_what_is_found(seed: int, people: int, copies: bool) -> None:
    """No place in the gallery, and no role, is an advantage: to the last bit, ties among people or not."""
    w = world(seed, people=people, n=80, d=12, copies=copies)
    order = np.random.default_rng(seed).permutation(people)
    partial, again = searched(w), searched(World(w.people[order], w.samples, w.sample_id))
    for name in ("similarity", "margin", "sample_id"):
        expected: Singles = getattr(partial.neighbours, name)[order]
        np.testing.assert_array_equal(getattr(again.neighbours, name), expected, err_msg=name)
    np.testing.assert_array_equal(again.margin_hits, partial.margin_hits[:, order])


def test_pairs_of_twins_are_known_both_ways() -> None:
    twins = Twins.of(np.array([3, 0]), np.array([1, 4]), 5)
    person, other = np.indices((5, 5))
    wanted = np.eye(5, dtype=bool)
    wanted[[3, 1, 0, 4], [1, 3, 4, 0]] = True
    np.testing.assert_array_equal(twins.are(person, other), wanted)
    assert twins.has.tolist() == [True, True, False, True, True]
    assert not Twins.none(5).has.any() and Twins.none(5).are(person, other).sum() == 5
