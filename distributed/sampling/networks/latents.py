"""Latent vectors from a counter-based generator, addressed by sample id."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from schemas.spec.generators.network import Distribution

WORDS_PER_BLOCK = 4
LATENT_STREAM = 0x1D1EA4
CUT = 2.0
"""Where BigGAN (Brock et al. 2019, arXiv 1809.11096) cuts its normals before it scales them."""


def stream_of(name: str) -> int:
    """The stream of a named input, apart from all others."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")


def uniform_integers(seed: int, ids: NDArray[np.int64], bound: int, stream: int) -> NDArray[np.int64]:
    """Independent whole numbers below `bound`, (len(ids),) int64; number i depends on (seed, ids[i]) alone.

    By 53 bits of one word each, so off uniform by at most bound / 2**53.
    """
    words = _stream_words(seed, ids, 1, stream)[:, 0]
    return ((words >> np.uint64(11)).astype(np.float64) * 2.0**-53 * bound).astype(np.int64)


def standard_normal(
    seed: int, ids: NDArray[np.int64], dim: int, stream: int = LATENT_STREAM
) -> NDArray[np.float32]:
    """Independent N(0, 1) latents, (len(ids), dim) float32.

    Row i depends on (seed, ids[i], dim, stream) alone.

    Philox-4x64-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3") under the key
    (seed, stream); each id owns ceil(dim / 4) counters. Uniforms at the middle of their 2**-53 cell become
    normals by the inverse distribution function, so that every normal costs the same number of words.
    """
    latents: NDArray[np.float32] = ndtri(_uniform(seed, ids, dim, stream)).astype(np.float32)
    return latents


def draw_latents(
    seed: int, ids: NDArray[np.int64], dim: int, source: Distribution, stream: int = LATENT_STREAM
) -> NDArray[np.float32]:
    """Latents of the distribution, (len(ids), dim) float32.

    Row i depends on (seed, ids[i], dim, stream) alone.

    All kinds are functions of the same uniforms as `standard_normal`, which it is for standard normals.
    """
    if source.is_standard:
        return standard_normal(seed, ids, dim, stream)
    uniform = _uniform(seed, ids, dim, stream)
    match source.distribution:
        case "uniform":
            drawn = 2 * uniform - 1
        case "truncated":
            # The inverse distribution function of what is left between the bounds.
            low, high = ndtr(-CUT), ndtr(CUT)
            drawn = ndtri(low + uniform * (high - low))
        case "sphere":
            drawn = ndtri(uniform)
            drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
        case _:
            drawn = ndtri(uniform)
    latents: NDArray[np.float32] = (drawn * source.scale).astype(np.float32)
    return latents


def _uniform(seed: int, ids: NDArray[np.int64], dim: int, stream: int) -> NDArray[np.float64]:
    bits = _stream_words(seed, ids, dim, stream)
    return ((bits >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53


def _stream_words(seed: int, ids: NDArray[np.int64], dim: int, stream: int) -> NDArray[np.uint64]:
    words = [_words(seed, int(first), int(count), dim, stream) for first, count in _ranges(ids)]
    return np.concatenate(words) if words else np.empty((0, dim), np.uint64)


def _ranges(ids: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Runs of consecutive ids as (first, count), so that each run is one vectorised draw."""
    if len(ids) == 0:
        return []
    cuts = np.flatnonzero(np.diff(ids) != 1) + 1
    return [(int(run[0]), len(run)) for run in np.split(ids, cuts)]


def _words(seed: int, first: int, count: int, dim: int, stream: int) -> NDArray[np.uint64]:
    """Random words of shape (count, dim) for the ids from `first` on."""
    blocks = -(-dim // WORDS_PER_BLOCK)
    counter = first * blocks
    philox = np.random.Philox(key=np.array([seed, stream], np.uint64), counter=counter)
    words = np.asarray(philox.random_raw(count * blocks * WORDS_PER_BLOCK), np.uint64)
    return words.reshape(count, blocks * WORDS_PER_BLOCK)[:, :dim]
