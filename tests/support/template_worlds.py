"""Small worlds of templates, and what is true in them by float64 brute force."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from distributed.reduce.neighbours import Neighbours, Partial
from distributed.statistics.similarity import Floats, Integers, Singles


@dataclass(frozen=True)
class World:
    gallery: Singles
    identity: Integers
    samples: Singles
    sample_id: Integers


def unit(rows: Singles) -> Singles:
    lengths: Singles = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / lengths, dtype=np.float32)


def world(seed: int, *, g: int, n: int, d: int, copies: bool = False) -> World:
    """Random unit templates. copies: few distinct samples, some equal to photos, so similarities tie."""
    random = np.random.default_rng(seed)
    gallery = unit(random.standard_normal((g, d)).astype(np.float32))
    samples = unit(random.standard_normal((n, d)).astype(np.float32))
    if copies and n:
        pool = np.concatenate([samples[:2], gallery[:2]])
        samples = pool[random.integers(0, len(pool), n)]
    identity = random.permutation(np.arange(g) % max(1, g // 2)).astype(np.int64)
    sample_id = random.permutation(5 * n)[:n].astype(np.int64) + 2**40
    return World(gallery, identity, samples, sample_id)


def _normalized(rows: Singles) -> Floats:
    exact = rows.astype(np.float64)
    norms: Floats = np.sqrt((exact * exact).sum(axis=1, keepdims=True))
    return exact / norms


def similarities(left: Singles, right: Singles) -> Singles:
    """Cosines (l, r): one float64 sum per pair, rounded to float32."""
    a, b = _normalized(left), _normalized(right)
    return np.array([[(x * y).sum() for y in b] for x in a], dtype=np.float32).reshape(len(a), len(b))


def brute_force(world: World, k: int, threshold: float) -> Partial:
    similarity = similarities(world.gallery, world.samples)
    nearest = np.full((len(world.gallery), k), -np.inf, dtype=np.float32)
    ids = np.full((len(world.gallery), k), -1, dtype=np.int64)
    for photo, row in enumerate(similarity):
        ranked = sorted(zip((-row).tolist(), world.sample_id.tolist(), strict=True))[:k]
        nearest[photo, : len(ranked)] = [-value for value, _ in ranked]
        ids[photo, : len(ranked)] = [sample for _, sample in ranked]
    hit = similarity.astype(np.float64) >= threshold
    of_identity = [
        hit[world.identity == person].any(axis=0).sum() for person in range(world.identity.max() + 1)
    ]
    identity_hits = np.array([of_identity], dtype=np.int64)
    return Partial(Neighbours(nearest, ids), hit.sum(axis=1), identity_hits, len(world.samples))
