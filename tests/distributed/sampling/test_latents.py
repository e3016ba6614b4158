from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kstest

from distributed.sampling.networks.latents import standard_normal

GOLDEN = [
    [0.6980328, 0.9321515, -0.8118643],
    [0.6479782, -1.2137055, 1.7576642],
    [-0.2868267, -0.1625935, -0.6149532],
]


@given(
    seed=st.integers(0, 2**63 - 1),
    ids=st.lists(st.integers(0, 2**40), min_size=1, max_size=8),
    dim=st.integers(1, 9),
)
def test_a_latent_depends_on_seed_and_id_alone(seed: int, ids: list[int], dim: int) -> None:
    together = standard_normal(seed, np.array(ids), dim)
    apart = [standard_normal(seed, np.array([sample_id]), dim)[0] for sample_id in ids]
    assert together.shape == (len(ids), dim) and together.dtype == np.float32
    np.testing.assert_array_equal(together, apart)


def test_ranges_are_cut_without_seams() -> None:
    whole = standard_normal(3, np.arange(1000), 5)
    np.testing.assert_array_equal(standard_normal(3, np.arange(400, 700), 5), whole[400:700])


def test_seeds_and_ids_differ() -> None:
    first = standard_normal(1, np.arange(100), 4)
    assert not np.isin(first, standard_normal(2, np.arange(100), 4)).any()
    assert len(np.unique(first)) == first.size


def test_latents_are_standard_normal_and_uncorrelated() -> None:
    latents = standard_normal(0, np.arange(50_000), 4)
    assert kstest(latents.ravel(), "norm").pvalue > 0.001
    lagged = np.corrcoef(np.hstack([latents[:-1], latents[1:]]).T)
    assert np.abs(lagged - np.eye(8)).max() < 0.02


def test_the_stream_never_changes() -> None:
    """Other values would make the samples of old runs impossible to reproduce."""
    latents = standard_normal(7, np.array([0, 1, 123_456_789]), 3)
    np.testing.assert_allclose(latents, GOLDEN, atol=1e-6)


def test_no_ids_give_no_rows() -> None:
    assert standard_normal(0, np.array([], np.int64), 3).shape == (0, 3)
