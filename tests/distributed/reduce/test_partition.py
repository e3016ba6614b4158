"""What is partial does not depend on how the samples are split, ordered, merged or multiplied."""

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

from distributed.reduce import products, search
from distributed.reduce.margins import Twins
from distributed.reduce.partial import (
    EDGES,
    Partial,
    empty,
    merge,
    partial_arrays,
    partial_of,
)
from distributed.reduce.search import DEPTH, Backend, PeopleSearch
from tests.support.exact_search import as_bytes, exact_search, require_equal
from tests.support.template_worlds import World, unit, world

BACKENDS: tuple[Backend, ...] = get_args(Backend)
SEEDS = st.integers(0, 2**32 - 1)
THRESHOLD = 0.3


def searched(
    w: World, k: int, *, backend: Backend = "auto", device: str = "cpu", twins: Twins | None = None
) -> Partial:
    return search.search(
        w.people,
        w.samples,
        w.sample_id,
        k=k,
        threshold=THRESHOLD,
        twins=twins,
        backend=backend,
        device=device,
    )


def in_parts(w: World, k: int, cuts: list[int], twins: Twins | None = None) -> list[Partial]:
    """What is partial in each part of the samples."""
    edges = [0, *sorted(cuts), len(w.samples)]
    return [searched(w.part(slice(*pair)), k, twins=twins) for pair in pairwise(edges)]


@given(
    seed=SEEDS,
    people=st.integers(2, 30),
    n=st.integers(0, 120),
    k=st.integers(1, 20),
    copies=st.booleans(),
    with_twins=st.booleans(),
    data=st.data(),
)
@settings(deadline=None, max_examples=60)
def test_any_partition_merged_in_any_order_gives_the_same_bytes(
    seed: int, people: int, n: int, k: int, copies: bool, with_twins: bool, data: st.DataObject
) -> None:
    w = world(seed, people=people, n=n, d=24, copies=copies)
    pairs = np.random.default_rng(seed).integers(0, people, (2, people if with_twins else 0))
    left, right = pairs[:, pairs[0] != pairs[1]]
    twins = Twins.of(left, right, people)
    whole = as_bytes(searched(w, k, twins=twins))
    parts = in_parts(w, k, data.draw(st.lists(st.integers(0, n), max_size=6)), twins)
    assert as_bytes(reduce(merge, data.draw(st.permutations(parts)))) == whole
    half = len(parts) // 2
    halves = [reduce(merge, some, empty(people, k)) for some in (parts[:half], parts[half:])]
    assert as_bytes(merge(*halves)) == whole


@given(seed=SEEDS, copies=st.booleans())
@settings(deadline=None, max_examples=30)
def test_merge_is_associative_and_commutative_with_a_neutral_element(seed: int, copies: bool) -> None:
    w = world(seed, people=5, n=30, d=16, copies=copies)
    a, b, c = in_parts(w, 7, [4, 17])
    assert as_bytes(merge(a, b)) == as_bytes(merge(b, a))
    assert as_bytes(merge(merge(a, b), c)) == as_bytes(merge(a, merge(b, c)))
    nothing = empty(5, 7)
    assert as_bytes(merge(a, nothing)) == as_bytes(a) == as_bytes(merge(nothing, a))
    assert as_bytes(merge(nothing, nothing)) == as_bytes(nothing)


def test_partials_of_different_searches_do_not_merge() -> None:
    for other in (empty(3, 5), empty(2, 4)):
        with pytest.raises(ValueError, match="cannot be merged"):
            merge(empty(3, 4), other)


@given(seed=SEEDS)
@settings(deadline=None, max_examples=10)
def test_a_partial_comes_back_from_its_arrays(seed: int) -> None:
    partial = searched(world(seed, people=4, n=9, d=8), 3)
    arrays = {**partial_arrays(partial, "a/0/0"), **partial_arrays(empty(4, 3), "a/0/1")}
    assert as_bytes(partial_of(arrays, "a/0/0")) == as_bytes(partial)
    assert as_bytes(partial_of(arrays, "a/0/1")) == as_bytes(empty(4, 3))


@pytest.mark.parametrize("copies", [False, True])
def test_samples_may_come_in_pieces_and_be_looked_at_in_between(copies: bool) -> None:
    w = world(4, people=30, n=7000, d=16, copies=copies)
    whole = as_bytes(searched(w, 5))
    for size in (1, 999, 2048, 7000):
        people_search = PeopleSearch(w.people, k=5, threshold=THRESHOLD)
        for start in range(0, 7000 if size > 1 else 60, size):
            part = w.part(slice(start, start + size))
            people_search.add(part.samples, part.sample_id)
            if start % 7 == 0:
                seen = min(start + size, 7000)
                assert as_bytes(people_search.result()) == as_bytes(searched(w.part(slice(seen)), 5))
        if size > 1:
            assert as_bytes(people_search.result()) == whole
            assert as_bytes(people_search.result()) == whole, "looking changes nothing"


@pytest.mark.parametrize("copies", [pytest.param(False, marks=pytest.mark.slow), True])
def test_backends_and_tiles_give_the_same_bytes(copies: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    w = world(8, people=300, n=3000, d=64, copies=copies)
    for k in (1, 16, 2500):
        whole = as_bytes(searched(w, k))
        assert {as_bytes(searched(w, k, backend=backend)) for backend in BACKENDS} == {whole}
        with monkeypatch.context() as patch:
            patch.setattr(products, "SAMPLES_AT_ONCE", 37)
            patch.setattr(products, "PEOPLE_AT_ONCE", 19)
            patch.setattr(search, "FIRST_BLOCK", 100)
            patch.setattr(search, "LARGEST_BLOCK", 700)
            patch.setattr(search, "SEEDS", 3)
            assert as_bytes(searched(w, k)) == whole


def crowded(seed: int, people: int, distance: float) -> World:
    """Among others, people so alike that float32 products cannot order them, and samples near them."""
    random = np.random.default_rng(seed)
    middle, others = random.standard_normal((1, 32)), random.standard_normal((20, 32))
    middle /= np.linalg.norm(middle)
    crowd = (middle + distance * random.standard_normal((people, 32))).astype(np.float32)
    everybody = np.concatenate([unit(others.astype(np.float32)), crowd])
    samples = middle + np.linspace(0, 0.3, 150)[:, None] * random.standard_normal((150, 32))
    samples = np.concatenate([samples, random.standard_normal((2500, 32))])
    return World(
        random.permutation(everybody), unit(samples.astype(np.float32)), random.permutation(len(samples))
    )


@pytest.mark.parametrize("distance", [0.0, 1e-8, 3e-8, 1e-7])
@pytest.mark.parametrize("people", [3, DEPTH + 1, 40])
def test_people_too_alike_for_float32_are_ordered_exactly(people: int, distance: float) -> None:
    """More equal people than are listed: the list ends among them, and who is on it, and in which order,
    must not depend on float32 sums, whose order differs from backend to backend."""
    w = crowded(people, people, distance)
    first = w.part(slice(150))
    require_equal(searched(first, 4), exact_search(first, 4, THRESHOLD))
    whole = as_bytes(searched(w, 4))
    assert {as_bytes(searched(w, 4, backend=backend)) for backend in BACKENDS} == {whole}
    assert as_bytes(reduce(merge, reversed(in_parts(w, 4, [1, 77, 2100])))) == whole


def test_a_crowd_at_the_end_of_the_list_is_searched_whole() -> None:
    """Eleven people in front, then thirty within rounding of each other, of whom just one is listed: with
    twins it decides who is the rival. The oracle's answer needs all thirty."""
    random = np.random.default_rng(0)
    basis = np.linalg.qr(random.standard_normal((64, 64)))[0]
    front = [0.9 * basis[0] + np.sqrt(1 - 0.81) * basis[1 + j] for j in range(11)]
    crowd = [
        0.5 * basis[0] + np.sqrt(0.75) * basis[20] + 2e-8 * random.standard_normal(64) for _ in range(30)
    ]
    w = World(
        np.array([*crowd, *front], np.float32), basis[:1].astype(np.float32), np.arange(1, dtype=np.int64)
    )
    pairs = [(30, other) for other in range(31, 41)]
    left, right = np.array(pairs).T
    twins = Twins.of(left, right, 41)
    for backend in BACKENDS:
        require_equal(searched(w, 1, backend=backend, twins=twins), exact_search(w, 1, THRESHOLD, pairs))


def test_margin_hits_fall_with_the_edge() -> None:
    partial = searched(world(5, people=30, n=2000, d=16), 3)
    assert (np.diff(partial.margin_hits, axis=0) <= 0).all() and partial.margin_hits[0].sum() > 0
    assert len(partial.margin_hits) == len(EDGES)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("backend", ["auto", "faiss", "torch", "torch16"])
@pytest.mark.parametrize("copies", [False, True])
def test_cuda_gives_the_bytes_of_the_cpu(backend: Backend, copies: bool) -> None:
    if not backend.startswith("torch") and faiss.get_num_gpus() == 0:
        pytest.skip("needs faiss-gpu")
    w = world(3, people=300, n=9000, d=512, copies=copies)
    for k in (16, 2048):
        assert as_bytes(searched(w, k, backend=backend, device="cuda")) == as_bytes(searched(w, k))
    w = crowded(1, 40, 3e-8)
    assert as_bytes(searched(w, 4, backend=backend, device="cuda")) == as_bytes(searched(w, 4))
