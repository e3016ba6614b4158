from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from distributed.statistics.people.same_people import (
    LEAST_PEOPLE,
    People,
    chance_threshold,
    left_out,
    matching_pairs,
    mated_level,
    noticeable_share,
    own_similarity,
    photo_similarity,
    strangers_level,
)
from distributed.statistics.similarity import Integers, Pairs, Singles

PEOPLE, DIM = 150, 64


def photos_of(
    faces: NDArray[Any], random: np.random.Generator, photos: int = 4, noise: float = 0.6
) -> tuple[Singles, Integers]:
    """One to `photos` photos of each face."""
    own = np.repeat(np.arange(len(faces)), random.integers(1, photos + 1, len(faces)))
    templates = faces[own] + noise * random.standard_normal((len(own), faces.shape[1]))
    return templates.astype(np.float32), own.astype(np.int64)


def pairs_found(templates: Singles, own: Integers) -> list[tuple[int, int]]:
    people = People.of(templates, own)
    threshold = chance_threshold(people)
    assert threshold is not None
    pairs = matching_pairs(people, threshold, mated_level(own_similarity(people)))
    return list(zip(pairs.left.tolist(), pairs.right.tolist(), strict=True))


@pytest.mark.parametrize("groups", [0, 5])
def test_worlds_of_different_people_have_no_pair(groups: int) -> None:
    """Also where the people of a group look alike. 0.4 are expected among 40 worlds, by CHANCE_PAIRS."""
    worlds = 0
    for seed in range(40):
        random = np.random.default_rng(seed)
        faces = random.standard_normal((PEOPLE, DIM))
        if groups:
            faces += 0.5 * random.standard_normal((groups, DIM))[random.integers(0, groups, PEOPLE)]
        worlds += bool(pairs_found(*photos_of(faces, random)))
    assert worlds <= 2


def test_a_person_under_two_names_is_found_and_a_relative_is_not() -> None:
    random = np.random.default_rng(1)
    faces = random.standard_normal((PEOPLE, DIM))
    faces[140] = faces[3]
    faces[141] = 0.5 * faces[4] + np.sqrt(0.75) * faces[141]
    assert pairs_found(*photos_of(faces, random)) == [(3, 140)]


def test_everybody_may_be_there_twice_without_hiding_it() -> None:
    random = np.random.default_rng(2)
    half = random.standard_normal((PEOPLE // 2, DIM))
    templates, own = photos_of(np.concatenate([half, half]), random, photos=3, noise=0.4)
    twice = {(person, person + PEOPLE // 2) for person in range(PEOPLE // 2)}
    pairs = set(pairs_found(templates, own))
    assert pairs <= twice and len(pairs) >= 0.9 * len(twice)


def test_the_search_gives_what_every_pair_for_itself_gives() -> None:
    random = np.random.default_rng(3)
    faces = random.standard_normal((1100, 16))
    templates, own = photos_of(faces, random, photos=2, noise=0.4)
    people, threshold, mated = People.of(templates, own), 0.7, 0.6
    exact = templates.astype(np.float64)
    exact /= np.linalg.norm(exact, axis=1, keepdims=True)
    centre = np.mean([exact[own == person].mean(axis=0) for person in range(1100)], axis=0)
    exact = (exact - centre) / np.linalg.norm(exact - centre, axis=1, keepdims=True)
    means = np.array([exact[own == person].mean(axis=0) for person in range(1100)])
    photo_pairs = means @ means.T
    length = np.linalg.norm(means, axis=1)
    wanted = [
        pair
        for pair in combinations(range(1100), 2)
        if photo_pairs[pair] >= max(mated, threshold * length[pair[0]] * length[pair[1]])
    ]
    pairs = matching_pairs(people, threshold, mated)
    assert len(wanted) > 20
    assert list(zip(pairs.left.tolist(), pairs.right.tolist(), strict=True)) == wanted


def test_similarities_of_own_photos() -> None:
    random = np.random.default_rng(4)
    templates, own = photos_of(random.standard_normal((40, DIM)), random)
    people = People.of(templates, own)
    own_mean, to_others = own_similarity(people), photo_similarity(people)
    for person in range(40):
        rows = np.flatnonzero(own == person)
        if len(rows) == 1:
            assert np.isnan(own_mean[person]) and np.isnan(to_others[rows[0]])
            continue
        pairs = [people.photos[a] @ people.photos[b] for a, b in combinations(rows, 2)]
        assert own_mean[person] == pytest.approx(np.mean(pairs))
        others = people.photos[rows[1:]].sum(axis=0)
        assert to_others[rows[0]] == pytest.approx(people.photos[rows[0]] @ others / np.linalg.norm(others))


def test_a_strangers_photo_in_a_folder_is_below_the_strangers_level_and_no_other_is() -> None:
    random = np.random.default_rng(5)
    faces = random.standard_normal((PEOPLE, DIM))
    own = np.repeat(np.arange(PEOPLE), 4).astype(np.int64)
    templates = (faces[own] + 0.6 * random.standard_normal((len(own), DIM))).astype(np.float32)
    templates[21] = faces[80] + 0.6 * random.standard_normal(DIM)
    people = People.of(templates, own)
    assert np.flatnonzero(photo_similarity(people) < strangers_level(people)).tolist() == [21]


def test_how_many_would_be_noticed_is_about_how_many_are() -> None:
    random = np.random.default_rng(6)
    faces = np.random.default_rng(60).standard_normal((600, 24))
    own = np.repeat(np.arange(600), 2).astype(np.int64)
    first, second = (
        (faces[own] + 0.7 * random.standard_normal((1200, 24))).astype(np.float32) for _ in range(2)
    )
    alone = People.of(first, own)
    mated = mated_level(own_similarity(alone))
    threshold = chance_threshold(alone)
    assert threshold is not None and mated is not None
    expected = noticeable_share(alone, own_similarity(alone), threshold, mated)
    both = People.of(np.concatenate([first, second]), np.concatenate([own, own + 600]))
    pairs = matching_pairs(both, threshold, mated)
    noticed = float((pairs.right - pairs.left == 600).sum()) / 600
    assert 0.1 < expected < 0.9 and noticed == pytest.approx(expected, abs=0.1)


def test_templates_that_say_nothing_of_people_give_no_threshold() -> None:
    own = np.arange(40).astype(np.int64)
    two_directions = np.array([[1.0, 0.0], [0.0, 1.0]], np.float32)[own % 2]
    assert chance_threshold(People.of(two_directions, own)) is None
    assert chance_threshold(People.of(np.ones((40, 3), np.float32), own)) is None


def test_few_people_cannot_say_what_chance_gives() -> None:
    random = np.random.default_rng(7)
    own = np.arange(LEAST_PEOPLE - 1).astype(np.int64)
    people = People.of(random.standard_normal((len(own), DIM)).astype(np.float32), own)
    with pytest.raises(ValueError, match="needs 32 people"):
        chance_threshold(people)
    assert mated_level(own_similarity(people)) is None


@pytest.mark.parametrize(
    ("pairs", "out"),
    [
        ([], []),
        ([(0, 3)], [3]),
        ([(0, 1)], []),
        # Of two in the cohort the person with more photos stays; with equally many, the first.
        ([(3, 4)], [3]),
        ([(2, 3)], [3]),
        # A person who is there three times stays once.
        ([(2, 3), (2, 5), (3, 5)], [3, 5]),
        # A person who matches a candidate is left out, and causes nobody else to be left out.
        ([(1, 4), (4, 5)], [4]),
        ([(0, 3), (1, 3), (3, 5)], [3]),
    ],
)
def test_who_is_left_out(pairs: list[tuple[int, int]], out: list[int]) -> None:
    in_cohort = np.array([False, False, True, True, True, True])
    photos = np.array([1, 1, 2, 2, 3, 2])
    left, right = np.array(pairs or np.empty((0, 2)), np.int64).T
    matches = Pairs(left, right, np.ones(len(pairs), np.float32))
    assert np.flatnonzero(left_out(matches, in_cohort, photos)).tolist() == out
