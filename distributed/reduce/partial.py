"""What is found among some samples: for each person the nearest of them, margins, and counts of hits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distributed.statistics.similarity import Integers, Singles

Arrays = dict[str, NDArray[Any]]
EDGES = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6)
"""Least margins by which hits are counted; which one makes a hit is decided once the cohort's are known."""

PEOPLE_AT_ONCE = 16_384
"""Merged at once: what that needs beside the result stays small."""


@dataclass(frozen=True)
class Neighbours:
    """The k nearest samples of each of P people; equal similarities stand in the order of their sample ids.

    similarity: float32 (P, k), falling, padded with -inf. margin: float32 (P, k), the similarity less what
    the other people give that sample (`search.margins`), padded with -inf. sample_id: int64 (P, k), padded
    with -1. best_other: int32 (P, k), the other person whom the sample is most similar to, padded with -1.
    """

    similarity: Singles
    margin: Singles
    sample_id: Integers
    best_other: NDArray[np.int32]


@dataclass(frozen=True)
class Partial:
    """What one reducer found in its samples. Merging is associative and commutative.

    margin_hits: int64 (len(EDGES), P), the samples that are more similar to the person than to anybody else,
    by EDGES or more. hits: int64 (P,), the samples of a similarity of the threshold or more; 0 where there is
    no threshold. samples: how many were compared.
    """

    neighbours: Neighbours
    margin_hits: Integers
    hits: Integers
    samples: int


def empty(people: int, k: int) -> Partial:
    """What is found among no samples: the neutral element of `merge`."""
    shape = (people, k)
    nothing = Neighbours(
        np.full(shape, -np.inf, np.float32),
        np.full(shape, -np.inf, np.float32),
        np.full(shape, -1, np.int64),
        np.full(shape, -1, np.int32),
    )
    return Partial(nothing, np.zeros((len(EDGES), people), np.int64), np.zeros(people, np.int64), samples=0)


def merge(a: Partial, b: Partial) -> Partial:
    """What is found in the samples of both, which must not overlap. Raises ValueError if shapes differ."""
    if a.neighbours.similarity.shape != b.neighbours.similarity.shape:
        raise ValueError("partials of different people or different k cannot be merged")
    if not a.samples or not b.samples:
        return a if a.samples else b
    return Partial(
        _merge_neighbours(a.neighbours, b.neighbours),
        a.margin_hits + b.margin_hits,
        a.hits + b.hits,
        a.samples + b.samples,
    )


def _merge_neighbours(a: Neighbours, b: Neighbours) -> Neighbours:
    merged = empty(*a.similarity.shape).neighbours
    for start in range(0, len(a.similarity), PEOPLE_AT_ONCE):
        rows = slice(start, start + PEOPLE_AT_ONCE)
        similarity = np.concatenate([a.similarity[rows], b.similarity[rows]], axis=1)
        sample_id = np.concatenate([a.sample_id[rows], b.sample_id[rows]], axis=1)
        nearest = np.lexsort((sample_id, -similarity), axis=1)[:, : a.similarity.shape[1]]
        merged.similarity[rows] = np.take_along_axis(similarity, nearest, axis=1)
        merged.sample_id[rows] = np.take_along_axis(sample_id, nearest, axis=1)
        for into, x, y in (
            (merged.margin, a.margin, b.margin),
            (merged.best_other, a.best_other, b.best_other),
        ):
            into[rows] = np.take_along_axis(np.concatenate([x[rows], y[rows]], axis=1), nearest, axis=1)
    return merged


def partial_arrays(partial: Partial, key: str) -> Arrays:
    """The arrays of a partial under `<key>/`."""
    near = partial.neighbours
    return {
        f"{key}/samples": np.array(partial.samples),
        f"{key}/similarity": near.similarity,
        f"{key}/margin": near.margin,
        f"{key}/sample_id": near.sample_id,
        f"{key}/best_other": near.best_other,
        f"{key}/margin_hits": partial.margin_hits,
        f"{key}/hits": partial.hits,
    }


def partial_of(arrays: Mapping[str, NDArray[Any]], key: str) -> Partial:
    """The inverse of `partial_arrays`."""
    columns = (arrays[f"{key}/{name}"] for name in ("similarity", "margin", "sample_id", "best_other"))
    return Partial(
        Neighbours(*columns),
        arrays[f"{key}/margin_hits"],
        arrays[f"{key}/hits"],
        int(arrays[f"{key}/samples"]),
    )
