"""The nearest samples and the hit counts of gallery photos, exact to the byte for any split of the work."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from typing import Any, Literal, Protocol

import faiss
import numpy as np
from numpy.typing import NDArray

from distributed.statistics.similarity import (
    Comparer,
    Floats,
    Integers,
    Pairs,
    Singles,
    Templates,
    canonical,
    guard_band,
)
from schemas.errors import DeviceError

Backend = Literal["faiss", "torch"]
Kernel = Callable[[Singles, Singles, int], tuple[Singles, Integers]]

SAMPLES_AT_ONCE = 16_384
"""Fewer cost more lists of candidates for each sample; more cost memory, 16 bytes a number of a template."""
PHOTOS_AT_ONCE = 512
SPARE_CANDIDATES = 8
FAISS_GPU_LARGEST_K = 2048
FAISS_GPU_TEMPORARY_BYTES = 2**30


@dataclass(frozen=True)
class Neighbours:
    """The k nearest samples of each of g photos; equal similarities stand in the order of their sample ids.

    similarity: float32 (g, k), falling, padded with -inf. sample_id: int64 (g, k), padded with -1.
    """

    similarity: Singles
    sample_id: Integers


@dataclass(frozen=True)
class Partial:
    """What one reducer found in its samples. Merging is associative and commutative.

    photo_hits: int64 (g,), samples that hit the photo. identity_hits: int64 (l, i), for each of l levels the
    samples that hit at least one of the identity's photos of that level. samples: how many were compared.
    """

    neighbours: Neighbours
    photo_hits: Integers
    identity_hits: Integers
    samples: int


@dataclass(frozen=True)
class _Query:
    """One search, apart from its samples. listed: how many candidates the kernel gives per photo."""

    gallery: Templates
    identity: Integers
    rank: Integers
    levels: tuple[int, ...]
    identities: int
    k: int
    threshold: float
    kernel: Kernel
    listed: int
    device: str

    @property
    def guard(self) -> float:
        return guard_band(self.gallery.exact.shape[1])


@dataclass(frozen=True)
class _Block:
    """Samples compared at once. copies: int64 (n,), how many samples each one stands for."""

    samples: Templates
    sample_id: Integers
    copies: Integers


@dataclass(frozen=True)
class _Candidates:
    """The best samples of each photo by float32 products.

    similarity, column: float32 and int64 (g, listed), falling. nearest_from, pairs_from: float64 (g,), the
    lowest product of a neighbour, and of a neighbour or hit. complete: bool (g,), none of those is missing.
    """

    similarity: Singles
    column: Integers
    nearest_from: Floats
    pairs_from: Floats
    complete: NDArray[np.bool_]


def empty(g: int, i: int, k: int, levels: int = 1) -> Partial:
    """What is found among no samples for g photos of i identities: the neutral element of `merge`."""
    nothing = Neighbours(np.full((g, k), -np.inf, dtype=np.float32), np.full((g, k), -1, dtype=np.int64))
    return Partial(nothing, np.zeros(g, dtype=np.int64), np.zeros((levels, i), dtype=np.int64), 0)


def merge(a: Partial, b: Partial) -> Partial:
    """What is found in the samples of both, which must not overlap. Raises ValueError if shapes differ."""
    if (a.neighbours.similarity.shape, a.identity_hits.shape) != (
        b.neighbours.similarity.shape,
        b.identity_hits.shape,
    ):
        raise ValueError("partials of different galleries or different k cannot be merged")
    return Partial(
        _merge_neighbours(a.neighbours, b.neighbours),
        a.photo_hits + b.photo_hits,
        a.identity_hits + b.identity_hits,
        a.samples + b.samples,
    )


def _merge_neighbours(a: Neighbours, b: Neighbours) -> Neighbours:
    similarity = np.concatenate([a.similarity, b.similarity], axis=1)
    sample_id = np.concatenate([a.sample_id, b.sample_id], axis=1)
    nearest = np.lexsort((sample_id, -similarity), axis=1)[:, : a.similarity.shape[1]]
    return Neighbours(
        np.take_along_axis(similarity, nearest, axis=1), np.take_along_axis(sample_id, nearest, axis=1)
    )


def search(
    gallery: NDArray[Any],
    identity: Integers,
    samples: NDArray[Any],
    sample_id: Integers,
    *,
    k: int,
    threshold: float,
    rank: Integers | None = None,
    levels: Sequence[int] = (1,),
    backend: Backend = "faiss",
    device: str = "cpu",
) -> Partial:
    """Compare all photos with all samples: the k nearest samples, and counts of similarity >= threshold.

    gallery: (g, d), float. identity: int64 (g,), each photo's identity, 0 to i − 1. samples: (n, d),
    float, n >= 0; sample_id: int64 (n,), distinct. Templates need not be normalised. rank: int64 (g,), each
    photo's place among its identity's, all 0 if not given; level l counts the hits on photos of rank below
    levels[l]. backend and device ("cpu", "cuda") change no bit of the result. Memory beyond the arguments is
    O(g × k + block). Raises DeviceError if the device is not there, ValueError if an argument is not as said.
    """
    neighbour_search = NeighbourSearch(
        gallery, identity, k=k, threshold=threshold, rank=rank, levels=levels, backend=backend, device=device
    )
    neighbour_search.add(samples, sample_id)
    return neighbour_search.found()


class NeighbourSearch:
    """`search` for samples that come in parts. What the first ones show spares work on the later ones."""

    def __init__(
        self,
        gallery: NDArray[Any],
        identity: Integers,
        *,
        k: int,
        threshold: float,
        rank: Integers | None = None,
        levels: Sequence[int] = (1,),
        backend: Backend = "faiss",
        device: str = "cpu",
    ) -> None:
        """Arguments and errors as those of `search`."""
        rank = np.zeros_like(identity) if rank is None else rank
        _check_gallery(gallery, identity, k, threshold)
        if rank.shape != identity.shape or not levels:
            raise ValueError("every photo needs a rank, and there must be a level")
        query = _query(Templates.of(gallery), identity, k, threshold, backend, device)
        self._query = replace(query, rank=rank, levels=tuple(levels))
        self._found = empty(len(gallery), query.identities, k, len(levels))
        self._waiting: list[tuple[NDArray[Any], Integers]] = []

    def add(self, samples: NDArray[Any], sample_id: Integers) -> None:
        """More samples (n, d), n >= 0, with ids that have not come before. Raises ValueError."""
        _check_samples(self._query.gallery, samples, sample_id)
        for start in range(0, len(samples), SAMPLES_AT_ONCE):
            block = slice(start, start + SAMPLES_AT_ONCE)
            waiting = sum(len(ids) for _, ids in self._waiting)
            if waiting + len(sample_id[block]) > SAMPLES_AT_ONCE:
                self._flush()
            self._waiting.append((samples[block], sample_id[block]))

    def found(self) -> Partial:
        """What is found among all samples so far."""
        self._flush()
        return self._found

    def _flush(self) -> None:
        if not self._waiting:
            return
        samples = Templates.of(np.concatenate([samples for samples, _ in self._waiting]))
        sample_id = np.concatenate([ids for _, ids in self._waiting])
        self._waiting = []
        kth = self._found.neighbours.similarity[:, -1].astype(np.float64)
        self._found = merge(self._found, _search_block(self._query, samples, sample_id, kth))


def _check_gallery(gallery: NDArray[Any], identity: Integers, k: int, threshold: float) -> None:
    if gallery.ndim != 2 or not len(gallery):
        raise ValueError(f"the gallery must be (g, d) and have a photo, not {gallery.shape}")
    if identity.shape != gallery.shape[:1]:
        raise ValueError("every photo needs an identity")
    if identity.min() < 0:
        raise ValueError("identities must count from 0")
    if k < 1 or np.isnan(threshold):
        raise ValueError(f"k must be at least 1 and the threshold a number, not {k} and {threshold}")


def _check_samples(gallery: Templates, samples: NDArray[Any], sample_id: Integers) -> None:
    if samples.ndim != 2 or samples.shape[1] != gallery.exact.shape[1]:
        raise ValueError(f"samples {samples.shape} must be (n, {gallery.exact.shape[1]}), as the gallery is")
    if sample_id.shape != samples.shape[:1]:
        raise ValueError("every sample needs a sample id")


def _query(
    gallery: Templates, identity: Integers, k: int, threshold: float, backend: Backend, device: str
) -> _Query:
    kernel = _kernel(backend, device)
    listed = k + SPARE_CANDIDATES
    if kernel is _faiss_gpu:
        if k > FAISS_GPU_LARGEST_K:
            raise ValueError(f"faiss on cuda finds at most {FAISS_GPU_LARGEST_K} neighbours, not {k}")
        listed = min(listed, FAISS_GPU_LARGEST_K)
    identities = int(identity.max()) + 1
    rank = np.zeros_like(identity)
    return _Query(gallery, identity, rank, (1,), identities, k, threshold, kernel, listed, device)


def _kernel(backend: Backend, device: str) -> Kernel:
    if device not in ("cpu", "cuda"):
        raise DeviceError(f"the search runs on cpu or cuda, not on {device}")
    if (backend, device) == ("faiss", "cpu"):
        return _faiss_cpu
    from distributed.reduce.torch_search import require_torch, torch_cpu, torch_cuda

    require_torch(device)
    if backend == "torch":
        return torch_cpu if device == "cpu" else torch_cuda
    # Asked first, because faiss-gpu without a GPU aborts the process.
    if faiss.get_num_gpus() == 0:
        raise DeviceError("the search was asked to run on cuda and faiss sees no GPU; install faiss-gpu")
    return _faiss_gpu


def _faiss_cpu(xq: Singles, xb: Singles, k: int) -> tuple[Singles, Integers]:
    """Largest inner products: D float32 (nq, k), falling, and I int64 (nq, k), for k <= nb."""
    nearest: tuple[Singles, Integers] = faiss.knn(xq, xb, k, metric=faiss.METRIC_INNER_PRODUCT)
    return nearest


def _faiss_gpu(xq: Singles, xb: Singles, k: int) -> tuple[Singles, Integers]:
    nearest: tuple[Singles, Integers] = faiss.knn_gpu(
        _gpu_resources(), xq, xb, k, metric=faiss.METRIC_INNER_PRODUCT
    )
    return nearest


@cache
def _gpu_resources() -> Any:
    resources = faiss.StandardGpuResources()
    resources.setTempMemory(FAISS_GPU_TEMPORARY_BYTES)
    return resources


class PairFinder(Protocol):
    """Finds the pairs of templates whose float32 inner product is large enough."""

    def pairs_above(self, left: Singles, floors: Floats) -> Pairs: ...


def _comparer(samples: Singles, device: str) -> PairFinder:
    if device == "cpu":
        return Comparer(samples)
    from distributed.reduce.torch_search import TorchComparer

    return TorchComparer(samples, device)


def _search_block(query: _Query, samples: Templates, sample_id: Integers, kth: Floats) -> Partial:
    """kth: float64 (g,), the similarity of each photo's k-th neighbour so far: nothing below it matters."""
    block = _fold_copies(samples, sample_id, query.k)
    partial = empty(len(query.gallery), query.identities, query.k, len(query.levels))
    candidates = _candidates(query, block.samples, kth)
    comparer = _comparer(block.samples.rounded, query.device)
    for photos in _whole_identities(query.identity):
        pairs = _pairs(query, comparer, candidates, photos)
        close = pairs.similarity >= candidates.nearest_from[pairs.left]
        _place_nearest(query, block, pairs[close], partial.neighbours)
        hits = _hits(query, block, pairs)
        partial.photo_hits[photos] = _count_by_photo(query, block, hits)[photos]
        for counts, level in zip(partial.identity_hits, query.levels, strict=True):
            counts += _count_by_identity(query, block, hits[query.rank[hits.left] < level])
    return replace(partial, samples=len(sample_id))


def _fold_copies(samples: Templates, sample_id: Integers, k: int) -> _Block:
    """Keep the k first of equal templates: no more can be neighbours, and the first one counts for all.

    So a generator that repeats itself costs no more than one that does not.
    """
    sums = samples.exact.sum(axis=1)
    if len(np.unique(sums)) == len(sums):
        return _Block(samples, sample_id, np.ones(len(sample_id), dtype=np.int64))
    rows = samples.exact.view(np.dtype((np.void, samples.exact.strides[0]))).ravel()
    _, label, copies = np.unique(rows, return_inverse=True, return_counts=True)
    order = np.lexsort((sample_id, label))
    rank = _rank_in_group(label[order])
    counts = np.where(rank == 0, copies[label[order]], 0)
    kept = rank < k
    return _Block(samples[order[kept]], sample_id[order[kept]], counts[kept])


def _rank_in_group(groups: Integers) -> Integers:
    """The place of each element in its run of equal elements, from 0. groups: int64 (p,), rising."""
    return np.arange(len(groups)) - np.searchsorted(groups, groups)


def _candidates(query: _Query, samples: Templates, kth: Floats) -> _Candidates:
    """List each photo's best samples by float32 products, and prove for which photos the list suffices.

    At least k samples are canonically no further than one guard band below the k-th listed product. So a
    neighbour's product lies at most two below it, and a hit's at most one below the threshold: a list
    that ends under both floors has them all. With k neighbours known, a nearer one's product lies at most
    one below the k-th similarity, and nothing need be listed.
    """
    hits_from = query.threshold - query.guard
    if np.isfinite(kth).all():
        # Finding what is nearer than k others costs less than sorting out the nearest.
        nothing = np.empty((len(kth), 0))
        pairs_from = np.minimum(kth - query.guard, hits_from)
        none = np.zeros(len(kth), dtype=np.bool_)
        return _Candidates(
            nothing.astype(np.float32), nothing.astype(np.int64), kth - query.guard, pairs_from, none
        )
    listed = min(query.listed, len(samples))
    D, column = query.kernel(query.gallery.rounded, samples.rounded, listed)
    nearest_from = np.full(len(D), -np.inf)
    if listed >= query.k:
        nearest_from = D[:, query.k - 1] - np.float64(2 * query.guard)
    pairs_from = np.minimum(nearest_from, hits_from)
    complete = (D[:, -1] < pairs_from) | (listed == len(samples))
    return _Candidates(D, column, nearest_from, pairs_from, complete)


def _whole_identities(identity: Integers) -> list[Integers]:
    """All photos in blocks of about PHOTOS_AT_ONCE, each with all photos of its identities."""
    order = np.argsort(identity, kind="stable")
    starts = np.flatnonzero(np.diff(identity[order], prepend=-1))
    wanted = np.arange(0, len(order), PHOTOS_AT_ONCE)
    cuts = np.unique(starts[np.searchsorted(starts, wanted, side="right") - 1])
    return [order[start:stop] for start, stop in pairwise([*cuts, len(order)])]


def _pairs(query: _Query, comparer: PairFinder, candidates: _Candidates, photos: Integers) -> Pairs:
    """All pairs of these photos that can be neighbours or hits, and some more."""
    complete = candidates.complete[photos]
    listed = _listed(candidates, photos[complete])
    rest = photos[~complete]
    if not len(rest):
        return listed
    compared = comparer.pairs_above(query.gallery.rounded[rest], candidates.pairs_from[rest])
    return Pairs.joined([listed, replace(compared, left=rest[compared.left])])


def _listed(candidates: _Candidates, photos: Integers) -> Pairs:
    similarity, column = candidates.similarity[photos], candidates.column[photos]
    # FAISS pads what it has not found with -1.
    wanted = (similarity >= candidates.pairs_from[photos, None]) & (column >= 0)
    row, rank = np.nonzero(wanted)
    return Pairs(photos[row], column[row, rank], similarity[row, rank])


def _place_nearest(query: _Query, block: _Block, pairs: Pairs, neighbours: Neighbours) -> None:
    similarity = canonical(query.gallery, block.samples, pairs)
    order = np.lexsort((block.sample_id[pairs.right], -similarity, pairs.left))
    rank = _rank_in_group(pairs.left[order])
    order, rank = order[rank < query.k], rank[rank < query.k]
    neighbours.similarity[pairs.left[order], rank] = similarity[order]
    neighbours.sample_id[pairs.left[order], rank] = block.sample_id[pairs.right[order]]


def _hits(query: _Query, block: _Block, pairs: Pairs) -> Pairs:
    """The pairs of canonical similarity >= threshold; only those within the guard band are computed."""
    threshold = np.float64(query.threshold)
    certain = pairs.similarity >= threshold + query.guard
    doubtful = pairs[~certain & (pairs.similarity >= threshold - query.guard)]
    similarity = canonical(query.gallery, block.samples, doubtful)
    return Pairs.joined([pairs[certain], doubtful[similarity >= threshold]])


def _count_by_photo(query: _Query, block: _Block, hits: Pairs) -> Integers:
    counts = np.bincount(hits.left, weights=block.copies[hits.right], minlength=len(query.gallery))
    return counts.astype(np.int64)


def _count_by_identity(query: _Query, block: _Block, hits: Pairs) -> Integers:
    n = len(block.samples)
    distinct = np.unique(query.identity[hits.left] * n + hits.right)
    counts = np.bincount(distinct // n, weights=block.copies[distinct % n], minlength=query.identities)
    return counts.astype(np.int64)
