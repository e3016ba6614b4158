from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kstest, norm, truncnorm, uniform

from distributed.sampling.networks.latents import draw_latents, standard_normal
from distributed.sampling.networks.network import network_fields
from schemas.spec.generators.network import Latent
from schemas.spec.generators.onnx import OnnxGenerator

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


WITHIN = {
    "normal": norm(scale=0.5).cdf,
    "uniform": uniform(loc=-0.5, scale=1).cdf,
    "truncated": truncnorm(-2, 2, scale=0.5).cdf,
}


@pytest.mark.parametrize("name", WITHIN)
def test_each_distribution_is_scipys(name: str) -> None:
    source = Latent.model_validate({"dim": 16, "distribution": name, "scale": 0.5})
    latents = draw_latents(7, np.arange(500), 16, source)
    assert latents.dtype == np.float32 and kstest(latents.ravel(), WITHIN[name]).pvalue > 0.001


def test_latents_on_the_sphere_have_its_radius_and_no_direction() -> None:
    latents = draw_latents(7, np.arange(2000), 16, Latent(dim=16, distribution="sphere", scale=4))
    np.testing.assert_allclose(np.linalg.norm(latents, axis=1), 4, rtol=1e-6)
    assert np.abs(latents.mean(axis=0)).max() < 4 * 4 / np.sqrt(16 * 2000)


@pytest.mark.parametrize("name", ["normal", "uniform", "sphere", "truncated"])
def test_a_latent_of_any_distribution_depends_on_its_id_alone(name: str) -> None:
    source = Latent.model_validate({"dim": 6, "distribution": name, "scale": 2})
    ids = np.array([5, 1, 9])
    apart = np.concatenate([draw_latents(7, ids[i : i + 1], 6, source) for i in range(3)])
    np.testing.assert_array_equal(draw_latents(7, ids, 6, source), apart)


def test_the_default_draws_what_was_drawn_and_has_the_fingerprint_that_it_had() -> None:
    written: dict[str, Any] = {"kind": "onnx", "path": "g.onnx", "latent": {"dim": 8}}
    written["inputs"] = {"noise": {"kind": "latent", "dim": 4}}
    spec = OnnxGenerator.model_validate(written)
    np.testing.assert_array_equal(
        draw_latents(7, np.arange(9), 8, spec.latent), standard_normal(7, np.arange(9), 8)
    )
    fields = network_fields(spec)
    assert fields.keys() == {"latent.dim", "output.layout", "output.range", "output.channels", "inputs.noise"}
    assert fields["inputs.noise"] == "LatentInput(kind='latent', dim=4)"
    written["latent"] = {"dim": 8, "distribution": "uniform"}
    written["inputs"]["noise"]["scale"] = 0.5
    added = network_fields(OnnxGenerator.model_validate(written)).items() - fields.items()
    assert dict(added) == {
        "latent.distribution": "uniform",
        "latent.scale": "1.0",
        "inputs.noise.distribution": "normal",
        "inputs.noise.scale": "0.5",
    }
