from __future__ import annotations

import numpy as np

from distributed.statistics.people.pictures import (
    COMPARED_SIZE,
    COPY_P,
    LEAST_PAIRS,
    Likeness,
    PhotoPairs,
    nearest_pairs,
    picture_similarity,
    prepared,
)
from distributed.statistics.similarity import Singles
from tests.support.template_worlds import unit


def picture(seed: int) -> Singles:
    """Smooth random grey."""
    random = np.random.default_rng(seed)
    coarse = random.uniform(0, 255, (7, 7)).astype(np.float32)
    return np.kron(coarse, np.ones((8, 8), np.float32))


def test_brightness_contrast_mirroring_and_noise_make_no_other_picture() -> None:
    first, other = picture(0), picture(1)
    assert first.shape == (COMPARED_SIZE, COMPARED_SIZE)
    noise = np.random.default_rng(2).normal(0, 8, first.shape).astype(np.float32)
    for copied in (first, 40 + 0.5 * first, first[:, ::-1], first + noise, 0.7 * first[:, ::-1] + noise):
        assert picture_similarity(prepared(first), prepared(copied)) > 0.95
    assert picture_similarity(prepared(first), prepared(other)) < 0.3
    assert picture_similarity(prepared(first), prepared(first[::-1])) < 0.6


def test_a_face_of_one_colour_is_like_no_other() -> None:
    flat = prepared(np.full((COMPARED_SIZE, COMPARED_SIZE), 128, np.float32))
    assert np.isfinite(flat).all() and picture_similarity(flat, prepared(picture(0))) < 0.2


def test_of_different_photos_at_most_one_in_a_hundred_is_called_the_same() -> None:
    random = np.random.default_rng(0)
    worlds = random.standard_normal((4000, 1 + LEAST_PAIRS))
    said = [PhotoPairs(world[1:]).likeness(world[0]) is Likeness.SAME_PHOTO for world in worlds]
    assert 0 < np.mean(said) <= COPY_P + 3 * (COPY_P / 4000) ** 0.5


def test_the_classes_follow_from_the_p_value_and_few_pairs_decide_nothing() -> None:
    pairs = PhotoPairs(np.arange(199) / 200)
    assert pairs.p_value(0.995) == 1 / 200
    assert pairs.likeness(0.995) is Likeness.SAME_PHOTO
    assert pairs.likeness(0.95) is Likeness.UNDECIDED
    assert pairs.likeness(0.5) is Likeness.SAME_PERSON
    few = PhotoPairs(np.arange(LEAST_PAIRS - 1) / LEAST_PAIRS)
    assert {few.likeness(value) for value in (0.0, 0.5, 1.0)} == {Likeness.UNDECIDED}


def test_the_nearest_pairs_are_the_brute_force_ones() -> None:
    random = np.random.default_rng(3)
    identity = np.array([0, 0, 0, 1, 2, 2, 3, 3, 3, 3])
    templates = unit(random.standard_normal((10, 16)).astype(np.float32))
    pairs = nearest_pairs(templates, identity, np.array([0, 1, 2, 3]))
    assert len(pairs) == 3  # nobody with one photo has a pair
    for pair, person in zip(pairs, (0, 2, 3), strict=True):
        rows = np.flatnonzero(identity == person)
        best = max(
            ((a, b) for a in rows for b in rows if a < b),
            key=lambda two: templates[two[0]] @ templates[two[1]],
        )
        assert sorted(pair.tolist()) == list(best)
