"""Products of samples with people by torch, on any device. Imported only where it is used."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from distributed.reduce.products import Best, padded
from distributed.runtime.device_memory import torch_bytes
from distributed.statistics.similarity import Floats, Pairs, Singles, guard_band
from schemas.errors import DeviceError

PRODUCTS_AT_ONCE = {"cpu": 2**27, "cuda": 2**31}
"""Of a block, so 4 GB of a card in float16."""
GROUP = 128
"""People whose products are looked at through their largest one."""
LEAST_GROUPS = 256
"""Of fewer people the groups are smaller: many more groups than people are listed of a sample."""
LOOKED_THROUGH_AT_ONCE = 2**28
PAIRS_AT_ONCE = 2**18


@dataclass(frozen=True)
class _Candidates:
    """Pairs of a block that may matter. row, person: int64 (c,); product: float32 (c,), of float32 rows."""

    row: Tensor
    person: Tensor
    product: Tensor


class TorchProducts:
    """What `products.TiledProducts` is, on any device of torch.

    Products are made once in a low precision, and looked through by the largest one of each group of people.
    What is within `product_error` of being wanted is multiplied again in float32. The host waits for the
    device twice a block.
    """

    def __init__(self, people: Singles, device: str, dtype: torch.dtype = torch.float32) -> None:
        """people: float32 (P, d), put on the device once. dtype: of the first products, float32 or float16.

        Raises DeviceError unless torch has the device and multiplies float32 matrices in full float32.
        """
        if device == "cuda" and not torch.cuda.is_available():
            raise DeviceError("the search was asked to run on cuda and torch sees no GPU; use device cpu")
        if torch.get_float32_matmul_precision() != "highest":
            raise DeviceError(
                "torch multiplies in reduced precision; set_float32_matmul_precision('highest')"
            )
        # Else sums of parts of a product are added up in float16.
        torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction = False
        self._people = torch.from_numpy(people).to(device)
        self._group = max(1, min(GROUP, 2 ** int(math.log2(max(1, len(people) // LEAST_GROUPS)))))
        groups = -(-len(people) // self._group)
        self._rounded = torch.zeros(groups * self._group, people.shape[1], dtype=dtype, device=device)
        self._rounded[: len(people)] = self._people
        self._band = product_error(people.shape[1], dtype)

    def kth(self, samples: Singles, k: int) -> Floats:
        """See `products.Products`."""
        columns = torch.from_numpy(samples).to(self._people.device).T
        rows = max(1, self._products_at_once // (2 * len(samples)))
        parts = [
            torch.topk(people @ columns, k, dim=1).values[:, -1] for people in torch.split(self._people, rows)
        ]
        kth: Floats = torch.cat(parts).double().cpu().numpy()
        return kth

    def compare(self, samples: Singles, floors: Singles, depth: int) -> tuple[Pairs, Best]:
        """See `products.Products`."""
        device, listed = self._people.device, min(depth, len(self._people))
        lowest = torch.full((len(self._rounded),), torch.inf, device=device)
        lowest[: len(floors)] = torch.from_numpy(floors).to(device)
        rows = max(1, self._products_at_once // len(self._rounded))
        parts, tops = [Pairs.none()], []
        for start, block in enumerate(torch.split(torch.from_numpy(samples).to(device), rows)):
            candidates = self._candidates(block, lowest, listed)
            above = torch.nonzero(candidates.product >= lowest[candidates.person])[:, 0]
            columns = (candidates.person, candidates.row + start * rows, candidates.product)
            parts.append(Pairs(*(column[above].cpu().numpy() for column in columns)))
            tops.append(_best(candidates, len(block), listed))
        best = Best(*(torch.cat(columns).cpu().numpy() for columns in zip(*tops, strict=True)))
        return Pairs.joined(parts), padded(best, depth)

    @property
    def _products_at_once(self) -> int:
        """Of any of the types: a quarter of the memory that is free, if they are float16."""
        most = PRODUCTS_AT_ONCE[self._people.device.type]
        if not self._people.is_cuda:
            return most
        return min(most, torch_bytes(torch.cuda.mem_get_info()[0]) // 8)

    def _candidates(self, block: Tensor, lowest: Tensor, listed: int) -> _Candidates:
        """All pairs of at least the person's floor, and of each sample the `listed` best people at least.

        block: float32 (n, d); lowest: float32, of all people and of those that fill the last group, inf. The
        t-th largest of a sample's largest products of groups is that of one of t people, so all of its t best
        ones are within two errors of it, or above.
        """
        products = block.to(self._rounded.dtype) @ self._rounded.T
        products[:, len(self._people) :] = -torch.inf
        groups = products.view(len(block), len(self._rounded) // self._group, self._group)
        largest = groups.amax(dim=2).float()
        floor = lowest - self._band
        from_here = torch.topk(largest, listed, dim=1).values[:, -1:] - 2 * self._band
        looked_at = largest >= torch.minimum(from_here, floor.view(-1, self._group).amin(dim=1))
        row, group = torch.nonzero(looked_at, as_tuple=True)
        if len(row) * self._group > LOOKED_THROUGH_AT_ONCE and len(block) > 1:
            del products, groups
            return self._in_halves(block, lowest, listed)
        wanted = torch.minimum(from_here[row], floor.view(-1, self._group)[group])
        place, column = torch.nonzero(groups[row, group].float() >= wanted, as_tuple=True)
        row, person = row[place], group[place] * self._group + column
        return _Candidates(row, person, self._exact(block, row, person))

    def _in_halves(self, block: Tensor, lowest: Tensor, listed: int) -> _Candidates:
        """A block of which too much passes to be looked through at once."""
        half = len(block) // 2
        first = self._candidates(block[:half], lowest, listed)
        second = self._candidates(block[half:], lowest, listed)
        return _Candidates(
            torch.cat([first.row, second.row + half]),
            torch.cat([first.person, second.person]),
            torch.cat([first.product, second.product]),
        )

    def _exact(self, block: Tensor, row: Tensor, person: Tensor) -> Tensor:
        """The float32 products of these pairs of float32 vectors."""
        pairs = zip(torch.split(row, PAIRS_AT_ONCE), torch.split(person, PAIRS_AT_ONCE), strict=True)
        return torch.cat([(block[rows] * self._people[people]).sum(dim=1) for rows, people in pairs])


def _best(candidates: _Candidates, rows: int, listed: int) -> tuple[Tensor, Tensor]:
    """Of each of so many rows the `listed` largest products, falling, and whose they are: (rows, listed)."""
    order = torch.argsort(candidates.product, descending=True, stable=True)
    order = order[torch.argsort(candidates.row[order], stable=True)]
    row = candidates.row[order]
    first = torch.searchsorted(row, torch.arange(rows, device=row.device))
    rank = torch.arange(len(row), device=row.device) - first[row]
    # What is not listed falls on one place behind the end: a mask would have the host wait.
    place = torch.where(rank < listed, row * listed + rank, rows * listed)
    product = torch.full((rows * listed + 1,), -torch.inf, device=row.device)
    person = torch.full((rows * listed + 1,), -1, dtype=torch.int64, device=row.device)
    product[place], person[place] = candidates.product[order], candidates.person[order]
    return product[:-1].view(rows, listed), person[:-1].view(rows, listed)


def product_error(d: int, dtype: torch.dtype) -> float:
    """The largest distance between a product that is made in `dtype` and that of the float32 vectors.

    Of vectors of d numbers, of length 1 at most. For float16, whose products are added up in float32 and then
    rounded to float16: with u = 2^-11 (its unit roundoff) and h = 2^-25 (half of its smallest number), each
    rounded vector is off by at most e = u + h √d in length, so the exact product of the rounded ones by
    2 e + e² (Cauchy-Schwarz). Products of two float16 are exact in float32. Adding d of them up is off by at
    most g = d v / (1 − d v) of the sum of their absolute values, (1 + e)² at most, in any order (Higham 2002,
    eq. 3.5), with v = 2^-22: four unit roundoffs of float32, as tensor cores cut off and do not round. The
    result is rounded by u. That is 0.0016 for 512 numbers.
    """
    if dtype == torch.float32:
        return guard_band(d)
    u, h, v = 2.0**-11, 2.0**-25, 2.0**-22
    e, g = u + h * math.sqrt(d), d * v / (1 - d * v)
    off = 2 * e + e**2 + g * (1 + e) ** 2
    # Vectors of length 1 are so to float32's precision.
    return (off + u * (1 + off)) * (1 + 2.0**-16)
