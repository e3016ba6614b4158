from __future__ import annotations

import numpy as np

from distributed.statistics.people.explaining import TEMPERATURE, explainer, fits, supported
from tests.support.template_worlds import unit


def test_fits_equal_their_definition_and_do_not_rise_with_photos() -> None:
    random = np.random.default_rng(0)
    photos = unit(random.standard_normal((5, 8)).astype(np.float32))
    samples = unit(random.standard_normal((6, 8)).astype(np.float32))
    person = np.array([0, 0, 1, 1, 1])
    similarity = samples.astype(np.float64) @ photos.astype(np.float64).T
    for column in range(2):
        own = similarity[:, person == column]
        wanted = TEMPERATURE * np.log(np.exp(own / TEMPERATURE).mean(axis=1))
        np.testing.assert_allclose(fits(samples, photos, person)[:, column], wanted, atol=1e-6)
    twice = np.concatenate([photos, photos])
    np.testing.assert_allclose(fits(samples, twice, np.tile(person, 2)), fits(samples, photos, person))


def test_a_copy_of_one_photo_supports_its_person_however_the_others_look() -> None:
    photos = np.eye(4, dtype=np.float32)
    photos[2] = photos[3] = unit(np.array([[1.0, 1.0, 1.0, 1.0]], dtype=np.float32))[0]
    assert supported(photos[:1], photos, np.array([0, 0, 1, 1])).tolist() == [[True, False]]


def test_two_names_for_one_person_do_not_take_each_others_samples() -> None:
    photos = unit(np.random.default_rng(1).standard_normal((2, 8)).astype(np.float32))
    again = np.concatenate([photos, photos[::-1]])
    assert supported(photos, again, np.array([0, 0, 1, 1])).all()


def test_the_explainer_is_whom_most_of_the_samples_support() -> None:
    supports = np.array([[0, 1, 0], [0, 1, 0], [1, 0, 0], [0, 0, 1]], dtype=bool)
    assert explainer(supports, 0) == 1
    assert explainer(supports[2:3], 0) is None


def test_no_samples_support_nobody() -> None:
    assert supported(np.empty((0, 4), np.float32), np.eye(4, dtype=np.float32), np.arange(4)).shape == (0, 4)
