"""Products of samples with people by FAISS: two nearest-neighbour searches, on a CPU or a GPU."""

from __future__ import annotations

from functools import cache
from typing import Any

import faiss
import faiss.contrib.torch_utils  # has `faiss.knn` and `faiss.knn_gpu` take torch's tensors where they lie
import torch
from torch import Tensor

from distributed.reduce.products import Best, padded
from distributed.runtime.device_memory import faiss_bytes
from distributed.statistics.similarity import Floats, Pairs, Singles
from schemas.errors import DeviceError

LISTED = 64
"""Samples listed of each person at first; where more pass the floor, the list grows."""
LARGEST_K_ON_GPU = 2048


class FaissProducts:
    """What `products.TiledProducts` is, by `faiss.knn` or `faiss.knn_gpu`, from both sides.

    People stay on the device, samples are sent there once, and what is found is looked through there.
    """

    def __init__(self, people: Singles, device: str) -> None:
        """people: float32 (P, d). Raises DeviceError if the device is cuda and FAISS or torch sees no GPU."""
        # Asked first, because faiss-gpu without a GPU aborts the process.
        if device == "cuda" and faiss.get_num_gpus() == 0:
            raise DeviceError("the search was asked to run on cuda and faiss sees no GPU; install faiss-gpu")
        if device == "cuda" and not torch.cuda.is_available():
            raise DeviceError("the search was asked to run on cuda and torch sees no GPU; use device cpu")
        self._people = torch.from_numpy(people).to(device)

    def kth(self, samples: Singles, k: int) -> Floats:
        """See `products.Products`."""
        nearest, _ = self._knn(self._people, self._sent(samples), k)
        kth: Floats = nearest[:, -1].double().cpu().numpy()
        return kth

    def compare(self, samples: Singles, floors: Singles, depth: int) -> tuple[Pairs, Best]:
        """See `products.Products`."""
        sent = self._sent(samples)
        similarity, person = self._knn(sent, self._people, min(depth, len(self._people)))
        best = Best(similarity.cpu().numpy(), person.cpu().numpy())
        return self._pairs(sent, self._sent(floors)), padded(best, depth)

    def _sent(self, array: Singles) -> Tensor:
        return torch.from_numpy(array).to(self._people.device)

    def _pairs(self, samples: Tensor, floors: Tensor) -> Pairs:
        people = torch.nonzero(torch.isfinite(floors) | (floors < 0))[:, 0]
        count, parts = min(LISTED, len(samples)), [Pairs.none()]
        while len(people):
            nearest, column = self._knn(self._people[people], samples, count)
            more = (nearest[:, -1] >= floors[people]) & (count < len(samples))
            passing = (nearest >= floors[people, None]) & ~more[:, None] & (column >= 0)
            row, rank = torch.nonzero(passing, as_tuple=True)
            pairs = (people[row], column[row, rank], nearest[row, rank])
            parts.append(Pairs(*(values.cpu().numpy() for values in pairs)))
            people, count = people[more], min(8 * count, len(samples))
        return Pairs.joined(parts)

    def _knn(self, xq: Tensor, xb: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """Largest inner products: D float32 (nq, k), falling, and I int64 (nq, k), for k <= nb."""
        metric = faiss.METRIC_INNER_PRODUCT
        if xq.device.type == "cpu":
            nearest: tuple[Tensor, Tensor] = faiss.knn(xq, xb, k, metric=metric)
        elif k > LARGEST_K_ON_GPU:
            raise ValueError(f"faiss on cuda finds at most {LARGEST_K_ON_GPU} neighbours, not {k}")
        else:
            nearest = faiss.knn_gpu(_gpu_resources(), xq, xb, k, metric=metric)
        return nearest


@cache
def _gpu_resources() -> Any:
    resources = faiss.StandardGpuResources()
    resources.setTempMemory(faiss_bytes())
    return resources
