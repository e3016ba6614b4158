"""Products of samples with people by FAISS: two nearest-neighbour searches, on a CPU or a GPU."""

from __future__ import annotations

from functools import cache
from typing import Any

import faiss
import numpy as np

from distributed.reduce.products import Best, padded
from distributed.statistics.similarity import Floats, Integers, Pairs, Singles
from schemas.errors import DeviceError

LISTED = 64
"""Samples listed of each person at first; where more pass the floor, the list grows."""
LARGEST_K_ON_GPU = 2048
TEMPORARY_BYTES = 2**30


class FaissProducts:
    """What `products.TiledProducts` is, by `faiss.knn` or `faiss.knn_gpu`, from both sides."""

    def __init__(self, people: Singles, device: str) -> None:
        """people: float32 (P, d). Raises DeviceError if the device is cuda and FAISS sees no GPU."""
        # Asked first, because faiss-gpu without a GPU aborts the process.
        if device == "cuda" and faiss.get_num_gpus() == 0:
            raise DeviceError("the search was asked to run on cuda and faiss sees no GPU; install faiss-gpu")
        self._people, self._device = people, device

    def kth(self, samples: Singles, k: int) -> Floats:
        """See `products.Products`."""
        nearest, _ = self._knn(self._people, samples, k)
        return nearest[:, -1].astype(np.float64)

    def compare(self, samples: Singles, floors: Singles, depth: int) -> tuple[Pairs, Best]:
        """See `products.Products`."""
        listed = min(depth, len(self._people))
        similarity, person = self._knn(samples, self._people, listed)
        return self._pairs(samples, floors), padded(Best(similarity, person), depth)

    def _pairs(self, samples: Singles, floors: Singles) -> Pairs:
        people, count = np.flatnonzero(np.isfinite(floors) | (floors < 0)), min(LISTED, len(samples))
        parts = [Pairs.none()]
        while len(people):
            nearest, column = self._knn(self._people[people], samples, count)
            more = (nearest[:, -1] >= floors[people]) & (count < len(samples))
            row, rank = np.nonzero((nearest >= floors[people, None]) & ~more[:, None] & (column >= 0))
            parts.append(Pairs(people[row], column[row, rank], nearest[row, rank]))
            people, count = people[more], min(8 * count, len(samples))
        return Pairs.joined(parts)

    def _knn(self, xq: Singles, xb: Singles, k: int) -> tuple[Singles, Integers]:
        """Largest inner products: D float32 (nq, k), falling, and I int64 (nq, k), for k <= nb."""
        metric = faiss.METRIC_INNER_PRODUCT
        if self._device == "cpu":
            found: tuple[Singles, Integers] = faiss.knn(xq, xb, k, metric=metric)
        elif k > LARGEST_K_ON_GPU:
            raise ValueError(f"faiss on cuda finds at most {LARGEST_K_ON_GPU} neighbours, not {k}")
        else:
            found = faiss.knn_gpu(_gpu_resources(), xq, xb, k, metric=metric)
        return found


@cache
def _gpu_resources() -> Any:
    resources = faiss.StandardGpuResources()
    resources.setTempMemory(TEMPORARY_BYTES)
    return resources
