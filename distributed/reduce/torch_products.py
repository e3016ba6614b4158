"""Products of samples with people by torch, on any device. Imported only where it is used."""

from __future__ import annotations

import torch

from distributed.reduce.products import Best, padded
from distributed.statistics.similarity import Floats, Pairs, Singles
from schemas.errors import DeviceError

PRODUCTS_AT_ONCE = 2**27
"""512 MB of the device's memory."""


class TorchProducts:
    """What `products.TiledProducts` is, on any device of torch."""

    def __init__(self, people: Singles, device: str) -> None:
        """people: float32 (P, d), put on the device once. Raises DeviceError unless torch has the device and
        multiplies float32 matrices in full float32."""
        if device == "cuda" and not torch.cuda.is_available():
            raise DeviceError("the search was asked to run on cuda and torch sees no GPU; use device cpu")
        if torch.get_float32_matmul_precision() != "highest":
            raise DeviceError(
                "torch multiplies in reduced precision; set_float32_matmul_precision('highest')"
            )
        self._people = torch.from_numpy(people).to(device)

    def kth(self, samples: Singles, k: int) -> Floats:
        """See `products.Products`."""
        columns = torch.from_numpy(samples).to(self._people.device).T
        rows = max(1, PRODUCTS_AT_ONCE // len(samples))
        parts = [
            torch.topk(people @ columns, k, dim=1).values[:, -1] for people in torch.split(self._people, rows)
        ]
        kth: Floats = torch.cat(parts).double().cpu().numpy()
        return kth

    def compare(self, samples: Singles, floors: Singles, depth: int) -> tuple[Pairs, Best]:
        """See `products.Products`."""
        device, listed = self._people.device, min(depth, len(self._people))
        lowest = torch.from_numpy(floors).to(device)
        rows = max(1, PRODUCTS_AT_ONCE // len(self._people))
        parts, tops = [Pairs.none()], []
        for start, block in enumerate(torch.split(torch.from_numpy(samples).to(device), rows)):
            products = block @ self._people.T
            row, person = torch.nonzero(products >= lowest, as_tuple=True)
            values = products[row, person].cpu().numpy()
            parts.append(Pairs(person.cpu().numpy(), row.cpu().numpy() + start * rows, values))
            tops.append(_two_best(products) if listed == 2 else torch.topk(products, listed, dim=1))
        best = Best(*(torch.cat(columns).cpu().numpy() for columns in zip(*tops, strict=True)))
        return Pairs.joined(parts), padded(best, depth)


def _two_best(products: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """As `torch.topk(products, 2, dim=1)`, by two passes, which on a GPU take a quarter of its time.

    Overwrites products.
    """
    first = products.max(dim=1)
    products.scatter_(1, first.indices[:, None], -torch.inf)
    second = products.max(dim=1)
    return torch.stack([first.values, second.values], 1), torch.stack([first.indices, second.indices], 1)
