"""Samples against people: nearest samples, margins and hits, exact to the byte for any split of the work."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from distributed.reduce.faster_products import faster_products
from distributed.reduce.margins import LISTED, Lists, Twins, margins
from distributed.reduce.partial import EDGES, Neighbours, Partial, empty, merge
from distributed.reduce.products import Best, Products, TiledProducts, rank_in_group
from distributed.statistics.similarity import Floats, Integers, Pairs, Singles, exact_products, guard_band
from schemas.errors import DeviceError

Backend = Literal["auto", "tiles", "faiss", "torch", "torch16"]
"""`torch16`: first products in float16. auto: tiles on a CPU, on CUDA the faster of faiss and torch16."""

FIRST_BLOCK = 2048
LARGEST_BLOCK = 16_384
"""Blocks double from the first on, so that few pairs pass the k-th best so far of each person."""
SEEDS = 1024
"""So many samples of the first block tell what its k best are at least."""
DEPTH = LISTED + 4
"""People listed of a sample: LISTED, and spare ones that prove that no other belongs to these."""


@dataclass(frozen=True)
class _Block:
    """Samples compared at once. copies: int64 (n,), how many samples each one stands for."""

    samples: Singles
    sample_id: Integers
    copies: Integers


class PeopleSearch:
    """Compares samples, which come in parts, with all people.

    What is found depends on the people and on all samples alone: not on how they come in parts, nor on the
    backend or device. Memory is O(people × k + block).
    """

    def __init__(
        self,
        people: Singles,
        *,
        k: int,
        threshold: float | None = None,
        twins: Twins | None = None,
        backend: Backend = "auto",
        device: str = "cpu",
    ) -> None:
        """people: float32 (P, d), rows of length 1 or 0, P > 1. threshold: similarity of `Partial.hits`.

        Raises DeviceError if the device is not there, ValueError if an argument is not as said.
        """
        if people.ndim != 2 or len(people) < 2:
            raise ValueError(f"people must be (P, d), and two or more, not {people.shape}")
        if k < 1 or (threshold is not None and np.isnan(threshold)):
            raise ValueError(f"k must be at least 1 and the threshold a number, not {k} and {threshold}")
        self._people, self._k, self._threshold = np.ascontiguousarray(people, np.float32), k, threshold
        self._twins = Twins.none(len(people)) if twins is None else twins
        self._products = _products(self._people, backend, device)
        self._guard = guard_band(people.shape[1])
        self._partial = empty(len(people), k)
        self._waiting: list[tuple[Singles, Integers]] = []

    def add(self, samples: Singles, sample_id: Integers) -> None:
        """More samples, float32 (n, d), with ids (n,) that have not come before. Raises ValueError."""
        if samples.ndim != 2 or samples.shape[1] != self._people.shape[1]:
            raise ValueError(f"samples {samples.shape} must be (n, {self._people.shape[1]}), as people are")
        if sample_id.shape != samples.shape[:1]:
            raise ValueError("every sample needs a sample id")
        start = 0
        while (room := self._block_size() - self._rows_waiting) <= len(sample_id) - start:
            self._waiting.append((samples[start : start + room], sample_id[start : start + room]))
            self._search_waiting()
            start += room
        if start < len(sample_id):
            self._waiting.append((samples[start:], sample_id[start:]))

    @property
    def _rows_waiting(self) -> int:
        return sum(len(ids) for _, ids in self._waiting)

    def _block_size(self) -> int:
        return min(max(FIRST_BLOCK, self._partial.samples), LARGEST_BLOCK)

    def result(self) -> Partial:
        """What is found among all samples so far."""
        if self._waiting:
            self._search_waiting()
        return self._partial

    def _search_waiting(self) -> None:
        rows, ids = (np.concatenate(parts) for parts in zip(*self._waiting, strict=True))
        self._waiting = []
        block = _fold_copies(rows, ids, self._k)
        self._partial = merge(self._partial, self._searched(block, len(ids)))

    def _searched(self, block: _Block, samples: int) -> Partial:
        near_from = self._nearest_from(block.samples)
        pairs_from = near_from if self._threshold is None else np.minimum(near_from, self._hits_from)
        # Where most samples are among somebody's nearest, the people of all are listed at once.
        every = self._partial.samples < self._k * len(self._people)
        depth = DEPTH if every else 2
        pairs, best = self._products.compare(block.samples, pairs_from.astype(np.float32), depth)
        nearest = self._nearest(block, pairs[pairs.similarity >= near_from[pairs.left]])
        lists = _Listing(self._people, block.samples, self._products, best if every else None)
        return Partial(
            self._neighbours(block, nearest, lists),
            self._margin_hits(block, best, lists),
            self._hits(block, pairs),
            samples,
        )

    @property
    def _hits_from(self) -> float:
        assert self._threshold is not None
        return self._threshold - self._guard

    def _nearest_from(self, samples: Singles) -> Floats:
        """Of each person the smallest product that one of the k nearest samples can have, float64 (P,).

        A canonical similarity lies within one guard band of the product. With k neighbours known, a nearer
        one is above the k-th similarity; of k listed products, the k-th similarity is above the k-th of them
        less one band.
        """
        kth = self._partial.neighbours.similarity[:, -1].astype(np.float64) - self._guard
        if np.isfinite(kth).all() or len(samples) < self._k:
            return kth
        seeds = samples[: max(self._k, SEEDS)]
        return np.maximum(kth, self._products.kth(seeds, self._k) - 2 * self._guard)

    def _nearest(self, block: _Block, pairs: Pairs) -> Pairs:
        """The k nearest of the block's samples of each person, ordered, with canonical similarities."""
        similarity = exact_products(self._people, block.samples, pairs)
        order = _falling(pairs.left, similarity, block.sample_id[pairs.right])
        order = order[rank_in_group(pairs.left[order]) < self._k]
        return Pairs(pairs.left[order], pairs.right[order], similarity[order])

    def _neighbours(self, block: _Block, nearest: Pairs, lists: _Listing) -> Neighbours:
        near = empty(len(self._people), self._k).neighbours
        margin, other = margins(nearest, *lists.unique(nearest.right), self._twins)
        place = nearest.left, rank_in_group(nearest.left)
        near.similarity[place], near.margin[place] = nearest.similarity, margin
        near.sample_id[place], near.best_other[place] = block.sample_id[nearest.right], other
        return near

    def _margin_hits(self, block: _Block, best: Best, lists: _Listing) -> Integers:
        """Only margins within two guard bands of an edge, or of people with twins, are computed exactly."""
        person = best.person[:, 0]
        margin = best.similarity[:, 0].astype(np.float64) - best.similarity[:, 1]
        edges = np.array(EDGES)
        near_edge = np.abs(margin[:, None] - edges).min(axis=1) <= 2 * self._guard
        doubtful = np.flatnonzero(near_edge | self._twins.has[person])
        if len(doubtful):
            people, exact = lists.unique(doubtful)[0].leaders(self._twins)
            person[doubtful], margin[doubtful] = people, exact
        counts = np.zeros((len(edges), len(self._people)), np.int64)
        for row, edge in zip(counts, edges, strict=True):
            hit = np.flatnonzero(margin >= edge)
            row += _weighted_counts(person[hit], block.copies[hit], len(row))
        return counts

    def _hits(self, block: _Block, pairs: Pairs) -> Integers:
        """By canonical similarity >= threshold; only those within the guard band are computed."""
        if self._threshold is None:
            return np.zeros(len(self._people), np.int64)
        threshold = np.float64(self._threshold)
        certain = pairs.similarity >= threshold + self._guard
        doubtful = pairs[~certain & (pairs.similarity >= self._hits_from)]
        similarity = exact_products(self._people, block.samples, doubtful)
        hits = Pairs.joined([pairs[certain], doubtful[similarity >= threshold]])
        return _weighted_counts(hits.left, block.copies[hits.right], len(self._people))


class _Listing:
    """The people whom samples of one block are most similar to, exact, listed where they are asked for."""

    def __init__(self, people: Singles, samples: Singles, products: Products, best: Best | None) -> None:
        """best: of all samples, to a depth of DEPTH, if that is known."""
        self._people, self._samples, self._products, self._best = people, samples, products, best

    def unique(self, rows: Integers) -> tuple[Lists, Integers]:
        """The lists of these rows of samples, in their order, each once, and the list of each of `rows`."""
        asked = np.zeros(len(self._samples), np.bool_)
        asked[rows] = True
        unique = np.flatnonzero(asked)
        return self._exact(unique, self._of(unique)), (np.cumsum(asked) - 1)[rows]

    def _of(self, rows: Integers) -> Best:
        if self._best is not None:
            return Best(self._best.similarity[rows], self._best.person[rows])
        nobody = np.full(len(self._people), np.inf, np.float32)
        return self._products.compare(self._samples[rows], nobody, DEPTH)[1]

    def _exact(self, rows: Integers, best: Best) -> Lists:
        there = best.person >= 0
        row, column = np.nonzero(there)
        similarity = np.full(best.person.shape, -np.inf, np.float32)
        pairs = Pairs(best.person[there], rows[row], best.similarity[there])
        similarity[row, column] = exact_products(self._people, self._samples, pairs)
        lists = Lists.ordered(similarity, best.person)
        if len(self._people) > DEPTH:
            guard = guard_band(self._people.shape[1])
            missing = best.similarity[:, -1] + np.float64(guard) >= lists.similarity[:, -1]
            for place in np.flatnonzero(missing):
                lists.similarity[place], lists.person[place] = self._whole(rows[place], guard)
        return lists

    def _whole(self, row: np.int64, guard: float) -> tuple[Singles, Integers]:
        """The list of one sample whose spare people are too near to the listed ones, as copies may be."""
        products = self._people @ self._samples[row]
        lowest = np.partition(products, -LISTED)[-LISTED] - np.float64(2 * guard)
        person = np.flatnonzero(products >= lowest)
        pairs = Pairs(person, np.full(len(person), row), products[person])
        similarity = exact_products(self._people, self._samples, pairs)
        lists = Lists.ordered(similarity[None], person[None])
        return lists.similarity[0], lists.person[0]


def _falling(person: Integers, similarity: Singles, sample_id: Integers) -> Integers:
    """An order by person, falling similarity, and sample id."""
    # One key of 64 bits is sorted many times as fast as three keys. No zero has a sign after the addition.
    bits = (similarity + np.float32(0)).view(np.uint32)
    falling = np.where(bits >> 31, bits, ~bits & np.uint32(0x7FFFFFFF))
    key = (person.astype(np.uint64) << np.uint64(32)) | falling
    order: Integers = np.argsort(key)
    ordered = key[order]
    tied = np.zeros(len(order) + 1, np.bool_)
    tied[1:-1] = ordered[1:] == ordered[:-1]
    places = np.flatnonzero(tied[1:] | tied[:-1])
    rows = order[places]
    order[places] = rows[np.lexsort((sample_id[rows], key[rows]))]
    return order


def _weighted_counts(people: Integers, copies: Integers, count: int) -> Integers:
    return np.bincount(people, weights=copies, minlength=count).astype(np.int64)


def _fold_copies(samples: Singles, sample_id: Integers, k: int) -> _Block:
    """Keep the k first of equal samples: no more can be neighbours, and the first one counts for all.

    So a generator that repeats itself costs no more than one that does not.
    """
    words = samples.view(np.uint64 if samples.shape[1] % 2 == 0 else np.uint32)
    sums = np.sort(words.sum(axis=1, dtype=np.uint64))
    if (sums[1:] != sums[:-1]).all():
        return _Block(samples, sample_id, np.ones(len(sample_id), dtype=np.int64))
    rows = samples.view(np.dtype((np.void, samples.strides[0]))).ravel()
    _, label, copies = np.unique(rows, return_inverse=True, return_counts=True)
    order = np.lexsort((sample_id, label))
    rank = rank_in_group(label[order])
    counts = np.where(rank == 0, copies[label[order]], 0)
    kept = rank < k
    return _Block(samples[order[kept]], sample_id[order[kept]], counts[kept])


def _products(people: Singles, backend: Backend, device: str) -> Products:
    if device not in ("cpu", "cuda"):
        raise DeviceError(f"the search runs on cpu or cuda, not on {device}")
    if backend == "auto" and device == "cuda":
        contenders: tuple[Backend, ...] = ("faiss", "torch16")
        return faster_products(people, contenders, lambda name: _products(people, name, device))
    if backend in ("auto", "tiles"):
        if device != "cpu":
            raise ValueError("tiles are made on a CPU; on cuda the backend is faiss or torch")
        return TiledProducts(people)
    if backend == "faiss":
        from distributed.reduce.faiss_products import FaissProducts

        return FaissProducts(people, device)
    import torch

    from distributed.reduce.torch_products import TorchProducts

    return TorchProducts(people, device, torch.float16 if backend == "torch16" else torch.float32)


def search(
    people: Singles,
    samples: Singles,
    sample_id: Integers,
    *,
    k: int,
    threshold: float | None = None,
    twins: Twins | None = None,
    backend: Backend = "auto",
    device: str = "cpu",
) -> Partial:
    """`PeopleSearch` of samples that are there at once. samples: float32 (n, d); sample_id: int64 (n,)."""
    people_search = PeopleSearch(
        people, k=k, threshold=threshold, twins=twins, backend=backend, device=device
    )
    people_search.add(samples, sample_id)
    return people_search.result()


def listed_people(people: Singles, samples: Singles) -> Lists:
    """The people whom each of a few samples (n, d) is most similar to, on a CPU. Both of unit rows."""
    listing = _Listing(people, samples, TiledProducts(people), None)
    return listing.unique(np.arange(len(samples)))[0]
