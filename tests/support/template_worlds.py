"""Small worlds of templates, and how similar they are by float64 brute force."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from distributed.statistics.similarity import Floats, Integers, Singles


@dataclass(frozen=True)
class World:
    """people: float32 (P, d), unit rows; samples: float32 (n, d); sample_id: int64 (n,), in no order."""

    people: Singles
    samples: Singles
    sample_id: Integers

    def part(self, rows: slice) -> World:
        """The same people and some of the samples."""
        return replace(self, samples=self.samples[rows], sample_id=self.sample_id[rows])


def unit(rows: Singles | Floats) -> Singles:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


def world(seed: int, *, people: int, n: int, d: int, copies: bool = False) -> World:
    """Random unit templates; half of the samples resemble somebody, more or less.

    copies: few distinct samples, some of them equal to people, some on the centre, and some people equal to
    others, so that similarities tie.
    """
    random = np.random.default_rng(seed)
    directions = unit(random.standard_normal((people, d)).astype(np.float32))
    samples = unit(random.standard_normal((n, d)).astype(np.float32))
    near = random.uniform(0, 1, (n, 1)) * (random.random((n, 1)) < 0.5)
    samples = unit(near * directions[random.integers(0, people, n)] + (1 - near) * samples)
    if copies:
        directions = directions[random.integers(0, max(2, people - people // 3), people)]
        pool = np.concatenate([samples[:3], directions[:2], np.zeros((1, d), np.float32)])
        samples = pool[random.integers(0, len(pool), n)]
    return World(directions, samples, random.permutation(5 * n)[:n].astype(np.int64) + 2**40)


def _normalized(rows: Singles) -> Floats:
    exact = rows.astype(np.float64)
    norms: Floats = np.sqrt((exact * exact).sum(axis=1, keepdims=True))
    return exact / norms


def similarities(left: Singles, right: Singles) -> Singles:
    """Cosines (l, r): one float64 sum per pair, rounded to float32."""
    return products(_normalized(left), _normalized(right))


def products(left: Singles | Floats, right: Singles | Floats) -> Singles:
    """Inner products (l, r): one float64 sum per pair, rounded to float32."""
    a, b = left.astype(np.float64), right.astype(np.float64)
    return np.array([[(x * y).sum() for y in b] for x in a], dtype=np.float32).reshape(len(a), len(b))
