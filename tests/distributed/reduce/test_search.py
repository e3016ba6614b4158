"""The search of people against a float64 brute force: what it finds, to the last bit."""

from __future__ import annotations

from typing import get_args

import faiss
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from distributed.reduce.partial import EDGES, Partial, empty
from distributed.reduce.search import Backend, search
from schemas.errors import DeviceError
from tests.support.exact_search import as_bytes, exact_search, require_equal
from tests.support.template_worlds import World, products, unit, world

BACKENDS: tuple[Backend, ...] = get_args(Backend)
SEEDS = st.integers(0, 2**32 - 1)


def searched(
    w: World, k: int, threshold: float | None = None, *, backend: Backend = "auto", device: str = "cpu"
) -> Partial:
    return search(w.people, w.samples, w.sample_id, k=k, threshold=threshold, backend=backend, device=device)


def a_similarity(w: World, seed: int) -> float:
    """A threshold that some pair equals exactly: the hardest case for a guard band."""
    if not len(w.samples):
        return 0.1
    person, sample = seed % len(w.people), seed % len(w.samples)
    return float(products(w.people[[person]], w.samples[[sample]])[0, 0])


@pytest.mark.parametrize("backend", BACKENDS)
@given(
    seed=SEEDS,
    people=st.integers(2, 40),
    n=st.integers(0, 60),
    d=st.sampled_from([1, 2, 7, 64, 129]),
    k=st.integers(1, 70),
    copies=st.booleans(),
)
@settings(deadline=None, max_examples=40)
def test_equals_the_brute_force_oracle(
    backend: Backend, seed: int, people: int, n: int, d: int, k: int, copies: bool
) -> None:
    w = world(seed, people=people, n=n, d=d, copies=copies)
    threshold = a_similarity(w, seed)
    require_equal(searched(w, k, threshold, backend=backend), exact_search(w, k, threshold))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("copies", [False, True])
def test_equals_the_oracle_where_few_of_many_samples_are_listed(backend: Backend, copies: bool) -> None:
    """Once k · P samples are searched, only the two best people of a sample are looked at, and no new
    sample of a block may be among the nearest."""
    w = world(1, people=14, n=5000, d=16, copies=copies)
    for k, threshold in ((1, None), (3, a_similarity(w, 5)), (2, -0.3), (2, 2.0)):
        require_equal(searched(w, k, threshold, backend=backend), exact_search(w, k, threshold))


@pytest.mark.parametrize("backend", BACKENDS)
def test_later_blocks_without_any_near_sample_change_only_counts(backend: Backend) -> None:
    people = np.eye(3, 8, dtype=np.float32)
    samples = np.concatenate([people, -unit(world(2, people=2, n=9000, d=8).samples)])
    samples[3:, :3] = -np.abs(samples[3:, :3])
    w = World(people, samples, np.arange(len(samples)))
    partial = searched(w, 1, 0.5, backend=backend)
    assert partial.neighbours.sample_id.ravel().tolist() == [0, 1, 2]
    assert partial.samples == 9003 and partial.hits.tolist() == [1, 1, 1]
    require_equal(partial, exact_search(w, 1, 0.5))


@pytest.mark.parametrize("backend", BACKENDS)
def test_equals_the_oracle_among_nearly_equal_samples(backend: Backend) -> None:
    w = world(6, people=20, n=200, d=64)
    noise = np.random.default_rng(0).standard_normal(w.samples.shape)
    close = (w.samples[:1] + 3e-8 * noise).astype(np.float32)
    assert len(np.unique(close, axis=0)) > 100
    w = World(w.people, close, w.sample_id)
    threshold = a_similarity(w, 7)
    require_equal(searched(w, 4, threshold, backend=backend), exact_search(w, 4, threshold))


def leads(value: np.float32, other: float) -> World:
    """Samples that are similar to the first person by `value`, and to the second by `other`."""
    people = np.eye(2, 4, dtype=np.float32)
    return World(people, np.array([[value, other, 0, 0.1]], np.float32), np.array([0]))


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_margin_that_equals_an_edge_is_a_hit_and_the_next_smaller_one_is_not(backend: Backend) -> None:
    for place, edge in enumerate(EDGES):
        at_least = np.float32(edge)
        if np.float64(at_least) < edge:
            at_least = np.nextafter(at_least, np.float32(2))
        below = np.nextafter(at_least, np.float32(0))
        for value, hit in ((at_least, 1), (below, 0)):
            w = leads(value, 0.0)
            assert searched(w, 1, backend=backend).margin_hits[:, 0].tolist() == [1] * (place + hit) + [0] * (
                len(EDGES) - place - hit
            )
    assert searched(leads(np.float32(0.75), 0.25), 1, backend=backend).margin_hits[8, 0] == 1


@given(seed=SEEDS, k=st.integers(1, 5))
@settings(deadline=None, max_examples=5)
def test_margins_near_an_edge_are_counted_exactly(seed: int, k: int) -> None:
    """All margins lie within a few rounding errors of an edge, beyond the first block too."""
    random = np.random.default_rng(seed)
    people, n = unit(random.standard_normal((5, 32)).astype(np.float32)), 2600
    basis = np.linalg.qr(people.T.astype(np.float64))[0]
    edge = np.array(EDGES)[random.integers(0, len(EDGES), n)]
    wanted = np.tile([0.05, -0.2, -0.2, -0.2, 0.05], (n, 1))
    wanted[:, 0] += edge
    inside = np.linalg.solve(people.astype(np.float64) @ basis, wanted.T).T @ basis.T
    noise = random.standard_normal((n, 32)) * 0.05
    noise -= noise @ basis @ basis.T
    w = World(people, (inside + noise).astype(np.float32), np.arange(n))
    similarity = products(people, w.samples[:200]).astype(np.float64)
    assert np.abs(similarity[0] - similarity[4] - edge[:200]).max() < 1e-6
    require_equal(searched(w, k), exact_search(w, k))


def test_ties_go_to_the_smaller_sample_id_and_the_first_person() -> None:
    people = np.concatenate([np.eye(2, 8, dtype=np.float32), np.eye(2, 8, dtype=np.float32)])
    samples = np.tile(people[:1], (40, 1))
    partial = search(people, samples, np.arange(40)[::-1].copy(), k=5)
    assert partial.neighbours.sample_id.tolist() == [[0, 1, 2, 3, 4]] * 4
    assert partial.neighbours.similarity.tolist() == [[1.0] * 5, [0.0] * 5] * 2
    assert partial.neighbours.best_other.tolist() == [[2] * 5, [0] * 5, [0] * 5, [0] * 5]
    assert not partial.margin_hits.any(), "two people are equally similar to all"


@pytest.mark.parametrize("backend", BACKENDS)
def test_samples_on_the_centre_are_near_nobody_and_hit_nobody(backend: Backend) -> None:
    people = unit(np.random.default_rng(3).standard_normal((30, 16)).astype(np.float32))
    w = World(people, np.zeros((7, 16), np.float32), np.arange(7))
    partial = searched(w, 2, 0.01, backend=backend)
    assert (
        not partial.neighbours.similarity.any() and not partial.margin_hits.any() and not partial.hits.any()
    )
    assert partial.neighbours.best_other.tolist() == [[1, 1]] + [[0, 0]] * 29
    require_equal(partial, exact_search(w, 2, 0.01))


@pytest.mark.parametrize("d", [7, 16])
def test_a_generator_that_repeats_itself_is_counted_in_full(d: int) -> None:
    people = world(2, people=6, n=1, d=d).people
    samples = np.tile(people[:1], (70_000, 1))
    samples[50_000:] = 0
    partial = search(people, samples, np.arange(70_000)[::-1].copy(), k=3, threshold=0.99)
    assert partial.hits.tolist() == [50_000, 0, 0, 0, 0, 0]
    leader = partial.margin_hits[:, 0]
    assert leader[0] == 50_000 and set(leader.tolist()) <= {0, 50_000}
    assert not partial.margin_hits[:, 1:].any() and partial.samples == 70_000
    assert partial.neighbours.sample_id[0].tolist() == [20_000, 20_001, 20_002]


@pytest.mark.parametrize("backend", BACKENDS)
def test_k_does_not_truncate_hits(backend: Backend) -> None:
    random = np.random.default_rng(0)
    people = unit(np.concatenate([np.ones((2, 8)), random.standard_normal((3, 8))]).astype(np.float32))
    samples = unit((1 + 0.1 * random.standard_normal((1000, 8))).astype(np.float32))
    partial = search(people, samples, np.arange(1000), k=1, threshold=0.9, backend=backend)
    assert partial.hits[:2].tolist() == [1000, 1000]


def test_an_empty_shard_finds_nothing() -> None:
    assert as_bytes(searched(world(1, people=4, n=0, d=16), 3, 0.1)) == as_bytes(empty(4, 3))


def test_bad_arguments_are_refused() -> None:
    w = world(1, people=4, n=6, d=16)
    with pytest.raises(ValueError, match="k must be"):
        searched(w, 0)
    with pytest.raises(ValueError, match="threshold a number"):
        searched(w, 1, float("nan"))
    with pytest.raises(ValueError, match="two or more"):
        searched(World(w.people[:1], w.samples, w.sample_id), 1)
    with pytest.raises(ValueError, match="as people are"):
        searched(World(w.people[:, :5], w.samples, w.sample_id), 1)
    with pytest.raises(ValueError, match="needs a sample id"):
        searched(World(w.people, w.samples, w.sample_id[:2]), 1)
    with pytest.raises(DeviceError, match="on cpu or cuda"):
        searched(w, 1, device="mps")
    with pytest.raises(ValueError, match="tiles are made on a CPU"):
        searched(w, 1, backend="tiles", device="cuda")


@pytest.mark.skipif(torch.cuda.is_available(), reason="refuses only where there is no GPU")
@pytest.mark.parametrize("backend", ["auto", "faiss", "torch", "torch16"])
def test_cuda_is_refused_without_a_gpu(backend: Backend) -> None:
    with pytest.raises(DeviceError, match="cuda"):
        searched(world(1, people=2, n=3, d=8), 1, backend=backend, device="cuda")


def test_faiss_is_asked_for_gpus_before_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(faiss, "get_num_gpus", lambda: 0)
    with pytest.raises(DeviceError, match="faiss sees no GPU"):
        searched(world(1, people=2, n=3, d=8), 1, device="cuda")


def test_reduced_precision_is_refused() -> None:
    torch.set_float32_matmul_precision("medium")
    try:
        with pytest.raises(DeviceError, match="reduced precision"):
            searched(world(1, people=2, n=3, d=8), 1, backend="torch")
    finally:
        torch.set_float32_matmul_precision("highest")
