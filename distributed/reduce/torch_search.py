"""The search by torch, on any device. Imported only where it is used: torch costs a process two seconds."""

from __future__ import annotations

import torch

from distributed.statistics.similarity import Floats, Integers, Pairs, Singles
from schemas.errors import DeviceError

PHOTOS_AT_ONCE = 256


def require_torch(device: str) -> None:
    """Raises DeviceError unless torch multiplies float32 matrices in full float32 on `device`."""
    if device == "cuda" and not torch.cuda.is_available():
        raise DeviceError("the search was asked to run on cuda and torch sees no GPU; use device cpu")
    if torch.get_float32_matmul_precision() != "highest":
        raise DeviceError("torch multiplies in reduced precision; set_float32_matmul_precision('highest')")


def torch_cpu(xq: Singles, xb: Singles, k: int) -> tuple[Singles, Integers]:
    """Largest inner products: D float32 (nq, k), falling, and I int64 (nq, k), for k <= nb."""
    return _top(xq, xb, k, "cpu")


def torch_cuda(xq: Singles, xb: Singles, k: int) -> tuple[Singles, Integers]:
    """As `torch_cpu`, on the GPU."""
    return _top(xq, xb, k, "cuda")


def _top(xq: Singles, xb: Singles, k: int, device: str) -> tuple[Singles, Integers]:
    base = torch.from_numpy(xb).to(device).T
    queries = torch.from_numpy(xq).to(device)
    starts = range(0, len(xq), PHOTOS_AT_ONCE)
    tops = [torch.topk(queries[start : start + PHOTOS_AT_ONCE] @ base, k, dim=1) for start in starts]
    return (
        torch.cat([top.values for top in tops]).cpu().numpy(),
        torch.cat([top.indices for top in tops]).cpu().numpy(),
    )


class TorchComparer:
    """What `similarity.Comparer` is, on any device of torch."""

    def __init__(self, right: Singles, device: str) -> None:
        """right: float32 (r, d), put on the device once."""
        self._right = torch.from_numpy(right).to(device)

    def pairs_above(self, left: Singles, floors: Floats) -> Pairs:
        """All pairs with a product of at least their left row's floor.

        left: float32 (l, d); floors: (l,). Memory is O(l × r).
        """
        device = self._right.device
        products = torch.from_numpy(left).to(device) @ self._right.T
        lowest = torch.from_numpy(floors).float().to(device)
        rows, columns = torch.nonzero(products >= lowest[:, None], as_tuple=True)
        return Pairs(rows.cpu().numpy(), columns.cpu().numpy(), products[rows, columns].cpu().numpy())
