from __future__ import annotations

from functools import reduce
from itertools import pairwise
from typing import get_args

import faiss
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from distributed.reduce import neighbours
from distributed.reduce.neighbours import Backend, Partial, empty, merge, search
from schemas.errors import DeviceError
from tests.support.template_worlds import World, brute_force, similarities, unit, world

BACKENDS: tuple[Backend, ...] = get_args(Backend)
SEEDS = st.integers(0, 2**32 - 1)


def searched(
    templates: World,
    k: int,
    threshold: float,
    *,
    rows: slice = slice(None),
    backend: Backend = "faiss",
    device: str = "cpu",
) -> Partial:
    return search(
        templates.gallery,
        templates.identity,
        templates.samples[rows],
        templates.sample_id[rows],
        k=k,
        threshold=threshold,
        backend=backend,
        device=device,
    )


def as_bytes(partial: Partial) -> tuple[bytes, ...]:
    near = partial.neighbours
    arrays = (near.similarity, near.sample_id, partial.photo_hits, partial.identity_hits)
    assert [array.dtype for array in arrays] == [np.float32, np.int64, np.int64, np.int64]
    return (*(array.tobytes() for array in arrays), str(partial.samples).encode())


def a_similarity(templates: World, seed: int) -> float:
    """A threshold that some pair equals exactly: the hardest case for a guard band."""
    if not len(templates.samples):
        return 0.1
    photo, sample = seed % len(templates.gallery), seed % len(templates.samples)
    return float(similarities(templates.gallery[[photo]], templates.samples[[sample]])[0, 0])


@pytest.mark.parametrize("backend", BACKENDS)
@given(
    seed=SEEDS,
    g=st.integers(1, 12),
    n=st.integers(0, 60),
    d=st.sampled_from([1, 2, 7, 64, 129]),
    k=st.integers(1, 70),
    copies=st.booleans(),
)
@settings(deadline=None, max_examples=60)
def test_equals_the_brute_force_oracle(
    backend: Backend, seed: int, g: int, n: int, d: int, k: int, copies: bool
) -> None:
    templates = world(seed, g=g, n=n, d=d, copies=copies)
    threshold = a_similarity(templates, seed)
    assert as_bytes(searched(templates, k, threshold, backend=backend)) == as_bytes(
        brute_force(templates, k, threshold)
    )


@pytest.mark.parametrize("backend", BACKENDS)
def test_equals_the_oracle_where_the_list_of_candidates_does_not_suffice(backend: Backend) -> None:
    templates = world(5, g=20, n=300, d=32)
    for k, threshold in [(1, -0.2), (5, 0.05), (16, 2.0)]:
        assert as_bytes(searched(templates, k, threshold, backend=backend)) == as_bytes(
            brute_force(templates, k, threshold)
        )


def test_equals_the_oracle_among_nearly_equal_samples() -> None:
    templates = world(6, g=6, n=200, d=64)
    noise = np.random.default_rng(0).standard_normal(templates.samples.shape)
    close = (templates.samples[:1] + 3e-8 * noise).astype(np.float32)
    templates = World(templates.gallery, templates.identity, close, templates.sample_id)
    threshold = a_similarity(templates, 7)
    assert len(np.unique(close, axis=0)) > 100
    assert as_bytes(searched(templates, 4, threshold)) == as_bytes(brute_force(templates, 4, threshold))


@given(seed=SEEDS, n=st.integers(0, 120), k=st.integers(1, 20), copies=st.booleans(), data=st.data())
@settings(deadline=None, max_examples=60)
def test_any_partition_in_any_order_gives_the_same_bytes(
    seed: int, n: int, k: int, copies: bool, data: st.DataObject
) -> None:
    templates = world(seed, g=9, n=n, d=48, copies=copies)
    threshold = a_similarity(templates, seed)
    cuts = sorted(data.draw(st.lists(st.integers(0, n), max_size=6)))
    edges = [0, *cuts, n]
    parts = [searched(templates, k, threshold, rows=slice(*pair)) for pair in pairwise(edges)]
    parts = data.draw(st.permutations(parts))
    assert as_bytes(reduce(merge, parts)) == as_bytes(searched(templates, k, threshold))


def test_partitions_of_a_realistic_size_give_the_same_bytes() -> None:
    templates = world(3, g=300, n=3000, d=512)
    half = World(
        templates.gallery, templates.identity, templates.samples.astype(np.float16), templates.sample_id
    )
    whole = searched(half, 16, 0.1)
    for size in (1, 77, 1000):
        edges = range(0, 3000 if size > 1 else 40, size)
        parts = [searched(half, 16, 0.1, rows=slice(start, start + size)) for start in edges]
        if size == 1:
            parts.append(searched(half, 16, 0.1, rows=slice(40, None)))
        assert as_bytes(reduce(merge, reversed(parts))) == as_bytes(whole)
    assert as_bytes(searched(half, 16, 0.1, backend="torch")) == as_bytes(whole)


def test_the_size_of_blocks_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    templates = world(8, g=40, n=500, d=64)
    whole = searched(templates, 8, 0.1)
    monkeypatch.setattr(neighbours, "SAMPLES_AT_ONCE", 37)
    monkeypatch.setattr(neighbours, "PHOTOS_AT_ONCE", 3)
    assert as_bytes(searched(templates, 8, 0.1)) == as_bytes(whole)
    assert as_bytes(searched(templates, 8, 0.1, backend="torch")) == as_bytes(whole)


def test_a_list_of_just_k_candidates_is_completed(monkeypatch: pytest.MonkeyPatch) -> None:
    templates = world(9, g=20, n=300, d=64, copies=True)
    other = world(9, g=20, n=300, d=64)
    expected = [as_bytes(searched(each, 8, 0.1)) for each in (templates, other)]
    monkeypatch.setattr(neighbours, "SPARE_CANDIDATES", 0)
    assert [as_bytes(searched(each, 8, 0.1)) for each in (templates, other)] == expected


@given(seed=SEEDS, copies=st.booleans())
@settings(deadline=None, max_examples=30)
def test_merge_is_associative_and_commutative_with_a_neutral_element(seed: int, copies: bool) -> None:
    templates = world(seed, g=5, n=30, d=16, copies=copies)
    a, b, c = (searched(templates, 7, 0.1, rows=rows) for rows in (slice(0, 4), slice(4, 17), slice(17, 30)))
    assert as_bytes(merge(a, b)) == as_bytes(merge(b, a))
    assert as_bytes(merge(merge(a, b), c)) == as_bytes(merge(a, merge(b, c)))
    nothing = empty(len(templates.gallery), a.identity_hits.shape[1], 7)
    assert as_bytes(merge(a, nothing)) == as_bytes(a) == as_bytes(merge(nothing, a))


def test_partials_of_different_searches_do_not_merge() -> None:
    with pytest.raises(ValueError, match="cannot be merged"):
        merge(empty(3, 2, 4), empty(3, 2, 5))
    with pytest.raises(ValueError, match="cannot be merged"):
        merge(empty(3, 2, 4), empty(3, 1, 4))


def test_ties_go_to_the_smaller_sample_id() -> None:
    gallery = np.eye(2, 8, dtype=np.float32)
    samples = np.tile(gallery[:1], (40, 1))
    sample_id = np.arange(40, dtype=np.int64)[::-1].copy()
    near = search(gallery, np.arange(2), samples, sample_id, k=5, threshold=0.5).neighbours
    assert near.sample_id.tolist() == [[0, 1, 2, 3, 4]] * 2
    assert near.similarity.tolist() == [[1.0] * 5, [0.0] * 5]


def test_k_above_the_number_of_samples_is_padded() -> None:
    templates = world(1, g=3, n=2, d=16)
    near = searched(templates, 5, 0.9).neighbours
    assert (near.sample_id[:, 2:] == -1).all() and (near.similarity[:, 2:] == -np.inf).all()
    assert (near.sample_id[:, :2] >= 0).all()


def test_an_empty_shard_finds_nothing() -> None:
    templates = world(1, g=4, n=0, d=16)
    assert as_bytes(searched(templates, 3, 0.1)) == as_bytes(empty(4, 2, 3))


@pytest.mark.parametrize("backend", BACKENDS)
def test_k_does_not_truncate_hits(backend: Backend) -> None:
    gallery = unit(np.ones((2, 8), dtype=np.float32))
    noise = np.random.default_rng(0).standard_normal((1000, 8))
    samples = unit((1 + 0.1 * noise).astype(np.float32))
    result = search(gallery, np.array([0, 0]), samples, np.arange(1000), k=1, threshold=0.9, backend=backend)
    assert result.photo_hits.tolist() == [1000, 1000]
    assert result.identity_hits.tolist() == [[1000]]


def test_hits_are_counted_for_the_first_photos_of_each_level() -> None:
    templates = world(2, g=12, n=300, d=16)
    rank = np.array([int((templates.identity[:row] == templates.identity[row]).sum()) for row in range(12)])
    levels = (1, 2)
    counted = search(
        templates.gallery,
        templates.identity,
        templates.samples,
        templates.sample_id,
        k=3,
        threshold=0.3,
        rank=rank,
        levels=levels,
    ).identity_hits
    hit = similarities(templates.gallery, templates.samples).astype(np.float64) >= 0.3
    for row, level in zip(counted, levels, strict=True):
        for person in range(6):
            photos = (templates.identity == person) & (rank < level)
            assert row[person] == hit[photos].any(axis=0).sum()


def test_a_generator_that_repeats_itself_is_counted_in_full() -> None:
    templates = world(2, g=6, n=1, d=512)
    samples = np.tile(templates.gallery[:1], (70_000, 1))
    result = search(templates.gallery, templates.identity, samples, np.arange(70_000), k=3, threshold=0.99)
    assert result.photo_hits.tolist() == [70_000, 0, 0, 0, 0, 0]
    assert result.identity_hits.sum() == 70_000
    assert result.neighbours.sample_id[0].tolist() == [0, 1, 2]


def test_templates_need_not_be_normalized() -> None:
    templates = world(4, g=6, n=80, d=32)
    scaled = World(
        8 * templates.gallery, templates.identity, templates.samples / np.float32(2), templates.sample_id
    )
    assert as_bytes(searched(scaled, 5, 0.1)) == as_bytes(searched(templates, 5, 0.1))


def test_bad_arguments_are_refused() -> None:
    templates = world(1, g=4, n=6, d=16)
    with pytest.raises(ValueError, match="k must be"):
        searched(templates, 0, 0.1)
    with pytest.raises(ValueError, match="threshold"):
        searched(templates, 1, float("nan"))
    with pytest.raises(ValueError, match="not zero"):
        searched(
            World(templates.gallery * 0, templates.identity, templates.samples, templates.sample_id), 1, 0.1
        )
    with pytest.raises(ValueError, match="as the gallery is"):
        searched(
            World(templates.gallery[:, :5], templates.identity, templates.samples, templates.sample_id),
            1,
            0.1,
        )
    with pytest.raises(ValueError, match="needs an identity"):
        searched(
            World(templates.gallery, templates.identity[:2], templates.samples, templates.sample_id), 1, 0.1
        )
    with pytest.raises(ValueError, match="count from 0"):
        searched(
            World(templates.gallery, templates.identity - 9, templates.samples, templates.sample_id), 1, 0.1
        )
    with pytest.raises(ValueError, match="have a photo"):
        searched(
            World(templates.gallery[:0], templates.identity[:0], templates.samples, templates.sample_id),
            1,
            0.1,
        )


@pytest.mark.skipif(torch.cuda.is_available(), reason="refuses only where there is no GPU")
@pytest.mark.parametrize("backend", BACKENDS)
def test_cuda_is_refused_without_a_gpu(backend: Backend) -> None:
    templates = world(1, g=2, n=3, d=8)
    with pytest.raises(DeviceError, match="cuda"):
        searched(templates, 1, 0.1, backend=backend, device="cuda")


def test_faiss_is_asked_for_gpus_before_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(faiss, "get_num_gpus", lambda: 0)
    templates = world(1, g=2, n=3, d=8)
    with pytest.raises(DeviceError, match="faiss sees no GPU"):
        searched(templates, 1, 0.1, device="cuda")


def test_reduced_precision_is_refused() -> None:
    torch.set_float32_matmul_precision("medium")
    try:
        with pytest.raises(DeviceError, match="reduced precision"):
            searched(world(1, g=2, n=3, d=8), 1, 0.1, backend="torch")
    finally:
        torch.set_float32_matmul_precision("highest")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("backend", BACKENDS)
def test_cuda_gives_the_bytes_of_the_cpu(backend: Backend) -> None:
    if backend == "faiss" and faiss.get_num_gpus() == 0:
        pytest.skip("needs faiss-gpu")
    templates = world(3, g=300, n=3000, d=512)
    for k in (16, 2048):
        result = searched(templates, k, 0.1, backend=backend, device="cuda")
        assert as_bytes(result) == as_bytes(searched(templates, k, 0.1))
