from __future__ import annotations

import numpy as np
import pytest
from scipy.special import betainc

from distributed.statistics.people.density import log_cap_share, log_density, reference_log_density
from tests.support.template_worlds import unit


@pytest.mark.parametrize("d", [2, 3, 32, 128, 512])
def test_cap_shares_equal_the_beta_function_where_it_does_not_underflow(d: int) -> None:
    similarity = np.array([0.9, 0.5, 0.1, 0.0, -0.2, -0.9])
    angle = np.arccos(similarity)
    share = 0.5 * betainc((d - 1) / 2, 0.5, np.sin(angle) ** 2)
    share = np.where(similarity >= 0, share, 1 - share)
    np.testing.assert_allclose(log_cap_share(similarity, d), np.log(share), atol=1e-9)


def test_a_cap_of_the_sphere_in_three_dimensions_is_half_of_one_less_its_cosine() -> None:
    similarity = np.linspace(-0.99, 0.99, 50)
    np.testing.assert_allclose(np.exp(log_cap_share(similarity, 3)), (1 - similarity) / 2, rtol=1e-9)


def test_shares_are_finite_and_fall_with_the_similarity_in_many_dimensions() -> None:
    similarity = np.array([-1.0, -0.5, 0.0, 0.3, 0.6, 0.9, 0.99, 0.9999, 1.0])
    shares = log_cap_share(similarity, 2048)
    assert np.isfinite(shares).all() and (np.diff(shares) <= 0).all() and shares[-1] < shares[3]


def test_the_density_of_uniform_points_is_one() -> None:
    random = np.random.default_rng(0)
    points = unit(random.standard_normal((4000, 8)).astype(np.float32))
    similarity = np.sort(points[:200] @ points[200:].T, axis=1)[:, -16].astype(np.float64)
    assert abs(log_density(similarity, 16, 3800, 8).mean()) < 0.1


def test_the_reference_density_leaves_out_the_own_identity() -> None:
    random = np.random.default_rng(1)
    points = unit(random.standard_normal((40, 8)).astype(np.float32))
    alone = reference_log_density(points[:1], np.array([7]), points[1:], np.arange(1, 40) + 100, 4)
    among = reference_log_density(points[:1], np.array([7]), points, np.array([7, *range(101, 140)]), 4)
    np.testing.assert_allclose(among, alone)
    with pytest.raises(ValueError, match="more than 4 reference people"):
        reference_log_density(points[:1], np.array([0]), points[:4], np.arange(4), 4)
