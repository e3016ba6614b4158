from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from distributed.statistics.people.separation import (
    ALIKE,
    FMR,
    GOOD_TAR,
    LEAST_TAR,
    MOST_ALIKE,
    MOST_PEOPLE,
    MOST_PHOTOS,
    Quality,
    chosen_photos,
    clopper_pearson,
    measure_separation,
)

DIM = 64
Rows = tuple[NDArray[Any], NDArray[np.int64]]


def gallery(people: int, photos: int, *, noise: float = 0.5, common: float = 0.0, seed: int = 0) -> Rows:
    """Templates of people: their own direction, `noise` of each photo, and what all have in `common`."""
    random = np.random.default_rng(seed)
    own = unit(random.standard_normal((people, DIM)))
    shots = noise * unit(random.standard_normal((people, photos, DIM)))
    rows = unit(own[:, None] + shots + common * np.eye(DIM)[0]).reshape(-1, DIM)
    return rows, np.repeat(np.arange(people), photos).astype(np.int64)


def unit(rows: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(rows / np.linalg.norm(rows, axis=-1, keepdims=True))


def test_the_rate_is_that_of_brute_force() -> None:
    templates, identity = gallery(60, 3, noise=1.8)
    left, right = np.triu_indices(len(templates), 1)
    cosines, mated = (templates @ templates.T)[left, right], identity[left] == identity[right]
    different = np.sort(cosines[~mated])[::-1]
    threshold = different[int(FMR * len(different))]
    shares = [(cosines[mated & (identity[left] == person)] > threshold).mean() for person in range(60)]
    separation = measure_separation(templates, identity)
    assert separation.mated is not None and 0.1 < separation.mated.tar < 0.9
    assert separation.mated.tar == pytest.approx(np.mean(shares), abs=1e-12)
    assert separation.mated.threshold == pytest.approx(threshold, abs=1e-6)
    assert separation.mated.mean_similarity == pytest.approx(cosines[mated].mean())
    assert separation.mean == pytest.approx(different.mean())
    assert separation.deviation == pytest.approx(different.std())


def test_who_tells_people_apart_is_good() -> None:
    separation = measure_separation(*gallery(50, 2))
    assert separation.mated is not None and separation.mated.tar == 1.0 and separation.mated.low > 0.9
    assert separation.quality is Quality.GOOD


def test_templates_all_alike_are_unusable_with_mated_pairs_and_without() -> None:
    """As of a real recogniser under a wrong preprocessing: cosines of 0.99 whoever it is."""
    for photos in (1, 2):
        separation = measure_separation(*gallery(150, photos, noise=5, common=50))
        assert separation.mean > 0.98 and (separation.mated is None) == (photos == 1)
        assert separation.quality is Quality.UNUSABLE


def test_photos_that_do_not_match_are_unusable_though_people_are_unlike() -> None:
    separation = measure_separation(*gallery(50, 2, noise=10))
    assert separation.mean < ALIKE and separation.mated is not None and separation.mated.high < LEAST_TAR
    assert separation.quality is Quality.UNUSABLE


def test_between_the_bounds_it_is_weak() -> None:
    separation = measure_separation(*gallery(200, 2, noise=1.3))
    assert separation.mated is not None
    assert separation.mated.low > LEAST_TAR and separation.mated.tar < GOOD_TAR
    assert separation.quality is Quality.WEAK


@pytest.mark.parametrize(
    ("common", "quality"), [(0.0, Quality.GOOD), (0.7, Quality.WEAK), (1.6, Quality.UNUSABLE)]
)
def test_without_mated_pairs_the_mean_of_different_people_decides(common: float, quality: Quality) -> None:
    separation = measure_separation(*gallery(150, 1, noise=0, common=common))
    wanted = {Quality.GOOD: (-1, ALIKE), Quality.WEAK: (ALIKE, MOST_ALIKE), Quality.UNUSABLE: (MOST_ALIKE, 1)}
    low, high = wanted[quality]
    assert separation.mated is None and low < separation.mean <= high and separation.quality is quality


def test_mated_pairs_that_match_make_people_who_are_alike_a_warning() -> None:
    """Some recognisers are made so that all cosines are large: six people with two photos let them pass."""
    alike = gallery(150, 1, common=2)
    again = gallery(6, 1, common=2)[0] + 1e-3
    templates = np.concatenate([alike[0], unit(again)])
    separation = measure_separation(templates, np.concatenate([alike[1], np.arange(6)]))
    assert measure_separation(*alike).quality is Quality.UNUSABLE
    assert separation.mean > MOST_ALIKE and separation.mated is not None and separation.mated.people == 6
    assert separation.mated.tar == 1.0 and separation.quality is Quality.WEAK


def test_a_few_people_alone_are_no_reason_to_refuse() -> None:
    separation = measure_separation(*gallery(4, 2, noise=20))
    assert separation.mated is not None and separation.mated.tar < LEAST_TAR < separation.mated.high
    assert separation.quality is Quality.WEAK


def test_one_person_with_many_photos_does_not_decide() -> None:
    templates, identity = gallery(40, 2, noise=10)
    many = unit(np.eye(DIM)[1] + 0.01 * np.random.default_rng(1).standard_normal((400, DIM)))
    people = np.concatenate([identity, np.full(400, 99)])
    separation = measure_separation(np.concatenate([templates, many]), people)
    assert separation.photos == 80 + MOST_PHOTOS and separation.quality is Quality.UNUSABLE


def test_the_same_photo_twice_is_no_mated_pair() -> None:
    templates, identity = gallery(50, 1, common=50)
    separation = measure_separation(
        np.concatenate([templates, templates]), np.concatenate([identity, identity])
    )
    assert separation.mated is None and separation.photos == 50 and separation.quality is Quality.UNUSABLE


def test_a_large_gallery_is_sampled_people_with_two_photos_first_and_always_the_same() -> None:
    identity = np.concatenate([np.arange(20_000), np.arange(300)]).astype(np.int64)
    rows = chosen_photos(identity, MOST_PEOPLE, MOST_PHOTOS)
    chosen, counts = np.unique(identity[rows], return_counts=True)
    assert len(chosen) == MOST_PEOPLE and set(range(300)) <= set(chosen) and (counts == 2).sum() == 300
    assert np.array_equal(rows, np.sort(rows)) and len(np.unique(rows)) == len(rows)
    assert np.array_equal(rows, chosen_photos(identity, MOST_PEOPLE, MOST_PHOTOS))
    assert not np.array_equal(rows, chosen_photos(identity, MOST_PEOPLE, MOST_PHOTOS, seed=1))


def test_the_interval_is_clopper_and_pearsons() -> None:
    # For 0 of n and n of n the limits have a closed form: (1 - level)^(1 / n).
    limit = 0.025 ** (1 / 10)
    np.testing.assert_allclose(clopper_pearson(0.0, 10), (0, 1 - limit))
    np.testing.assert_allclose(clopper_pearson(1.0, 10), (limit, 1))


def test_one_person_alone_cannot_be_measured() -> None:
    with pytest.raises(ValueError, match="two people"):
        measure_separation(*gallery(1, 3))
