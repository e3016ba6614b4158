"""Products in float16: whatever is wanted by float64 is found, near ties and worst roundings included."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch

from distributed.reduce import faster_products, torch_products
from distributed.reduce.faiss_products import FaissProducts
from distributed.reduce.faster_products import faster_products as fastest
from distributed.reduce.products import Best, Products, TiledProducts
from distributed.reduce.torch_products import TorchProducts, product_error
from distributed.statistics.similarity import Pairs, Singles, guard_band

HALF = torch.float16


def unit_rows(seed: int, rows: int, d: int) -> Singles:
    drawn = np.random.default_rng(seed).standard_normal((rows, d))
    unit: Singles = (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)
    return unit


def worst_rows(rows: int, d: int = 256) -> Singles:
    """Every number is nearly half a unit above a float16, so all are rounded down; of length just below 1."""
    signs = np.random.default_rng(1).choice([-1.0, 1.0], (rows, d))
    signs[:, -1] = 0
    return (signs * 2**-4 * (1 + 0.99 * 2**-11)).astype(np.float32)


@pytest.mark.parametrize("d", [8, 128, 512, 2048])
def test_the_error_of_a_product_is_within_its_bound(d: int) -> None:
    people, samples = unit_rows(0, 300, d), unit_rows(1, 300, d)
    samples[:100] = people[:100]
    exact = samples.astype(np.float64) @ people.astype(np.float64).T
    rounded = (torch.from_numpy(samples).half() @ torch.from_numpy(people).half().T).double().numpy()
    assert np.abs(rounded - exact).max() <= product_error(d, HALF)


def test_the_bound_is_nearly_reached_and_is_that_of_its_formula() -> None:
    people = worst_rows(50)
    exact = (people.astype(np.float64) ** 2).sum(axis=1)
    rows = torch.from_numpy(people).half()
    off = np.abs((rows @ rows.T).diagonal().double().numpy() - exact)
    assert product_error(256, HALF) / 2 < off.max() < product_error(256, HALF)
    assert product_error(512, HALF) == pytest.approx(1.59e-3, rel=0.01)
    assert product_error(512, torch.float32) == guard_band(512)


@pytest.mark.parametrize("people_count", [3, 40, 1000, 5001])
@pytest.mark.parametrize("depth", [2, 16])
def test_all_pairs_and_the_best_people_are_those_of_float64(people_count: int, depth: int) -> None:
    people, samples = unit_rows(2, people_count, 32), unit_rows(3, 150, 32)
    samples[:20] = people[np.arange(20) % people_count]
    require_found(TorchProducts(people, "cpu", HALF), people, samples, depth)


@pytest.mark.parametrize("people_count", [2, 300, 3000])
def test_the_worst_roundings_are_found(people_count: int) -> None:
    people = worst_rows(people_count)
    require_found(TorchProducts(people, "cpu", HALF), people, people[:40].copy(), 2)


@pytest.mark.parametrize("guarded", [True, False])
def test_a_product_at_its_floor_is_found_and_without_the_guard_band_lost(
    monkeypatch: pytest.MonkeyPatch, guarded: bool
) -> None:
    if not guarded:
        monkeypatch.setattr(torch_products, "product_error", lambda d, dtype: 0.0)
    sample = worst_rows(1)[0]
    exact_in_half = (np.sign(sample) * 2**-4 * (1 + 2**-10)).astype(np.float32)
    people = np.stack([exact_in_half, exact_in_half, sample, *-worst_rows(300)])
    floors = np.full(len(people), np.inf, np.float32)
    floors[2] = np.float32(sample.astype(np.float64) @ sample) * np.float32(1 - 2**-20)
    pairs, _ = TorchProducts(people, "cpu", HALF).compare(sample[None], floors, 2)
    assert pairs.left.tolist() == ([2] if guarded else [])


def test_who_is_best_only_before_rounding_is_best() -> None:
    sample = np.full(256, 2**-4 * (1 + 0.99 * 2**-11), np.float32)
    sample[-1] = 2**-6
    better, worse = sample.copy(), np.full(256, 2**-4, np.float32)
    better[-1], worse[-1] = 0, 0.023
    people = np.stack([worse, better, *-worst_rows(700)])
    rounded = torch.from_numpy(people[:2]).half() @ torch.from_numpy(sample).half()
    assert rounded[0] > rounded[1] and sample @ better > sample @ worse
    nobody = np.full(len(people), np.inf, np.float32)
    best = TorchProducts(people, "cpu", HALF).compare(sample[None], nobody, 2)[1]
    assert best.person.tolist() == [[1, 0]]


def test_a_block_of_which_much_passes_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_products, "LOOKED_THROUGH_AT_ONCE", 5000)
    monkeypatch.setattr(torch_products, "PAIRS_AT_ONCE", 999)
    monkeypatch.setitem(torch_products.PRODUCTS_AT_ONCE, "cpu", 60_000)
    people = np.tile(unit_rows(4, 1, 16), (1000, 1))
    samples = unit_rows(5, 100, 16)
    products = TorchProducts(people, "cpu", HALF)
    pairs, best = products.compare(samples, np.full(1000, -np.inf, np.float32), 2)
    assert len(pairs) == 100_000 and len(best.person) == 100
    order = np.lexsort((pairs.left, pairs.right))
    np.testing.assert_array_equal(pairs.left[order].reshape(100, 1000), np.tile(np.arange(1000), (100, 1)))


def require_found(products: Products, people: Singles, samples: Singles, depth: int) -> None:
    """Whatever float64 puts clearly at or above the floor is there, and nothing clearly below it."""
    exact = samples.astype(np.float64) @ people.astype(np.float64).T
    guard = guard_band(people.shape[1])
    # A floor that a product reaches exactly.
    floors = np.partition(exact, -2, axis=0)[-2].astype(np.float32)
    pairs, best = products.compare(samples, floors, depth)
    listed_pairs = np.zeros(exact.shape, np.bool_)
    listed_pairs[pairs.right, pairs.left] = True
    assert len(pairs) == listed_pairs.sum(), "a pair is there once"
    assert not (listed_pairs & (exact < floors - 2 * guard)).any()
    assert not (~listed_pairs & (exact > floors + 2 * guard)).any()
    np.testing.assert_allclose(pairs.similarity, exact[pairs.right, pairs.left], atol=guard)
    listed = min(depth, len(people))
    expected = -np.sort(-exact, axis=1)[:, :listed]
    np.testing.assert_allclose(best.similarity[:, :listed], expected, atol=guard)
    given = np.take_along_axis(exact, best.person[:, :listed], axis=1)
    np.testing.assert_allclose(given, expected, atol=guard)
    assert (best.person[:, listed:] == -1).all()


def test_faiss_leaves_what_it_finds_to_torch_tensors() -> None:
    people, samples = unit_rows(6, 300, 32), unit_rows(7, 500, 32)
    require_found(FaissProducts(people, "cpu"), people, samples, 2)


def test_the_faster_is_taken_once_for_people_of_one_shape(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(faster_products, "_chosen", {})
    people, opened = unit_rows(8, 50, 8), list[str]()

    def open_products(name: str) -> Products:
        opened.append(name)
        return Slow(people) if name == "slow" else TiledProducts(people)

    with caplog.at_level(logging.INFO):
        assert not isinstance(fastest(people, ("slow", "fast"), open_products), Slow)
    assert opened == ["slow", "fast"] and "search of 50 people: fast (slow" in caplog.text
    assert not isinstance(fastest(people, ("slow", "fast"), open_products), Slow)
    assert opened == ["slow", "fast", "fast"]


class Slow(TiledProducts):
    """Compares everything twenty times."""

    def compare(self, samples: Singles, floors: Singles, depth: int) -> tuple[Pairs, Best]:
        for _ in range(20):
            super().compare(samples, floors, depth)
        return super().compare(samples, floors, depth)
