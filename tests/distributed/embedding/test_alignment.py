"""The similarity transform against known answers and against insightface's own."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from insightface.utils import face_align

from distributed.embedding.alignment import ARCFACE_TEMPLATE, align, similarity_transform

coordinates = st.floats(-500, 500)
faces = arrays(np.float64, (5, 2), elements=coordinates)


@given(angle=st.floats(-np.pi, np.pi), scale=st.floats(0.1, 10), x=coordinates, y=coordinates)
def test_a_known_similarity_is_recovered(angle: float, scale: float, x: float, y: float) -> None:
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    landmarks = (ARCFACE_TEMPLATE - (x, y)) @ np.linalg.inv(turn).T
    expected = np.column_stack([turn, (x, y)])
    np.testing.assert_allclose(similarity_transform(landmarks, 112), expected, atol=1e-8)


@pytest.mark.parametrize("size", [112, 224])
@given(noise=faces)
def test_it_equals_insightface(size: int, noise: np.ndarray) -> None:
    landmarks = ARCFACE_TEMPLATE + noise / 25
    with warnings.catch_warnings():
        # insightface calls scikit-image's old name of the estimate.
        warnings.simplefilter("ignore", FutureWarning)
        expected = face_align.estimate_norm(landmarks, size)
    np.testing.assert_allclose(similarity_transform(landmarks, size), expected, atol=1e-4)


@given(landmarks=faces.filter(lambda points: np.ptp(points) > 1))
def test_no_other_similarity_fits_better(landmarks: np.ndarray) -> None:
    def error(matrix: np.ndarray) -> float:
        return float(((landmarks @ matrix[:, :2].T + matrix[:, 2] - ARCFACE_TEMPLATE) ** 2).sum())

    best = similarity_transform(landmarks, 112)
    a, b = best[0, 0], best[1, 0]
    for da, db in ((1e-3, 0), (-1e-3, 0), (0, 1e-3), (0, -1e-3)):
        other = np.array([[a + da, -(b + db), best[0, 2]], [b + db, a + da, best[1, 2]]])
        assert error(best) <= error(other) + 1e-9


def test_another_size_scales_the_template() -> None:
    np.testing.assert_allclose(
        similarity_transform(ARCFACE_TEMPLATE, 128), [[128 / 112, 0, 0], [0, 128 / 112, 0]], atol=1e-12
    )


@pytest.mark.parametrize("landmarks", [np.ones((5, 2)), np.full((5, 2), np.nan), np.ones((4, 2))])
def test_degenerate_landmarks_are_refused(landmarks: np.ndarray) -> None:
    with pytest.raises(ValueError, match="landmarks must"):
        similarity_transform(landmarks, 112)


def test_an_aligned_crop_stays_as_it_is() -> None:
    crop = np.random.default_rng(0).integers(0, 256, (112, 112, 3), np.uint8)
    np.testing.assert_array_equal(align(crop, ARCFACE_TEMPLATE), crop)


def test_outside_the_image_is_black() -> None:
    crop = align(np.full((10, 10, 3), 255, np.uint8), ARCFACE_TEMPLATE)
    assert crop.shape == (112, 112, 3)
    assert crop[:9, :9].min() == 255
    assert crop[12:].max() == 0
