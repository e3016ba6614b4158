"""What the similarity of two templates is, to the last bit, and how fast float32 answers bound it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Integers = NDArray[np.int64]

UNIT_ROUNDOFF = 2.0**-24  # of float32
COLUMNS_AT_ONCE = 2048  # products of so many samples with a block of photos stay in a core's cache
PAIRS_AT_ONCE = 256  # float64 templates of this many pairs, or samples, stay in a core's cache


@dataclass(frozen=True)
class Templates:
    """Unit-norm templates: exact: float64 (n, d), and rounded: the same as float32 for matrix products."""

    exact: Floats
    rounded: Singles

    @classmethod
    def of(cls, templates: NDArray[Any]) -> Self:
        """Normalise templates (n, d) of any float type. Raises ValueError if one has no direction."""
        if templates.ndim != 2 or templates.shape[1] == 0:
            raise ValueError(f"templates must have the shape (n, d), not {templates.shape}")
        exact = np.empty(templates.shape, dtype=np.float64)
        rounded = np.empty(templates.shape, dtype=np.float32)
        for start in range(0, len(templates), PAIRS_AT_ONCE):
            block = slice(start, start + PAIRS_AT_ONCE)
            rounded[block] = exact[block] = _normalized(templates[block].astype(np.float64))
        return cls(exact, rounded)

    def __len__(self) -> int:
        return len(self.exact)

    def __getitem__(self, rows: slice | NDArray[Any]) -> Templates:
        return Templates(self.exact[rows], self.rounded[rows])


def _normalized(rows: Floats) -> Floats:
    norms = np.sqrt((rows * rows).sum(axis=1, keepdims=True))
    if not (np.isfinite(norms) & (norms > 0)).all():
        raise ValueError("templates must be finite and not zero")
    rows /= norms
    return rows


@dataclass(frozen=True)
class Pairs:
    """Compared pairs: rows of the left and right templates, int64 (p,), and similarity, float32 (p,)."""

    left: Integers
    right: Integers
    similarity: Singles

    @classmethod
    def none(cls) -> Self:
        return cls(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))

    @classmethod
    def joined(cls, parts: list[Pairs]) -> Self:
        return cls(
            np.concatenate([part.left for part in parts]),
            np.concatenate([part.right for part in parts]),
            np.concatenate([part.similarity for part in parts]),
        )

    def __len__(self) -> int:
        return len(self.left)

    def __getitem__(self, chosen: NDArray[Any]) -> Pairs:
        return Pairs(self.left[chosen], self.right[chosen], self.similarity[chosen])


def canonical(left: Templates, right: Templates, pairs: Pairs) -> Singles:
    """The similarity of each pair, float32 (p,): see `exact_products`."""
    return exact_products(left.exact, right.exact, pairs)


def exact_products(left: NDArray[Any], right: NDArray[Any], pairs: Pairs) -> Singles:
    """The inner product of each pair of rows, float32 (p,): the float64 dot product, rounded once.

    left, right: (l, d) and (r, d), float32 or float64. Each product is summed over one contiguous row, in an
    order that depends on d alone, so a pair gets the same bits in whatever block, shard or process it is
    computed.
    """
    similarity = np.empty(len(pairs), dtype=np.float32)
    for start in range(0, len(similarity), PAIRS_AT_ONCE):
        block = slice(start, start + PAIRS_AT_ONCE)
        products = np.multiply(left[pairs.left[block]], right[pairs.right[block]], dtype=np.float64)
        similarity[block] = products.sum(axis=1)
    return similarity


def guard_band(d: int) -> float:
    """The largest distance between a float32 inner product of `Templates.rounded` and `canonical`.

    For unit vectors a dot product is off by at most d·u/(1 − d·u) in any order of summation, with or
    without fused multiply-add (Higham 2002, Accuracy and Stability of Numerical Algorithms, eq. 3.5).
    Rounding both inputs, the canonical value and a bound that it is compared with adds under 6 u.
    """
    return (d + 6) * UNIT_ROUNDOFF / (1 - (d + 6) * UNIT_ROUNDOFF)


class Comparer:
    """Finds the pairs of templates whose float32 inner product is large enough, on a CPU.

    Products are made tile by tile, in memory kept from call to call. By numpy, which finds what passes
    several times as fast as torch does.
    """

    def __init__(self, right: Singles) -> None:
        """right: float32 (r, d)."""
        self._right = right
        self._products = np.empty((0, COLUMNS_AT_ONCE), np.float32)

    def pairs_above(self, left: Singles, floors: Floats) -> Pairs:
        """All pairs with a product of at least their left row's floor.

        left: float32 (l, d); floors: (l,). Memory is O(l).
        """
        if len(self._products) < len(left):
            self._products = np.empty((len(left), COLUMNS_AT_ONCE), np.float32)
        lowest = floors.astype(np.float32)[:, None]
        starts = range(0, len(self._right), COLUMNS_AT_ONCE)
        return Pairs.joined([Pairs.none(), *(self._tile(left, lowest, start) for start in starts)])

    def _tile(self, left: Singles, lowest: Singles, start: int) -> Pairs:
        right = self._right[start : start + COLUMNS_AT_ONCE]
        products = np.matmul(left, right.T, out=self._products[: len(left), : len(right)])
        # Many times as fast as nonzero of a matrix.
        rows, columns = np.divmod(np.flatnonzero(products >= lowest), len(right))
        return Pairs(rows, columns + start, products[rows, columns])
