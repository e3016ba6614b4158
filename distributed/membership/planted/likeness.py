"""How well the generator's samples show people, by those whom an audit flags."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from distributed.statistics.similarity import Floats, Integers

Source = Literal["spec", "measured", "assumed"]
ASSUMED = 0.6
"""Where too few are flagged to measure it: the 0.59 of a generator that mixes real photos, rounded."""
LEAST_FLAGGED = 5
LEAST_HITS = 10
"""Beyond those of the cohort, of a flagged person who counts."""
GRID = np.array([0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0])
ONE_SIDED = 1.645


@dataclass(frozen=True)
class Likeness:
    """How much of what a photo shows of a person a sample of them shows: 1 is as much. See `planted`."""

    value: float
    source: Source


def likeness_of(
    wanted: float | None, hits: Integers, expected: Floats, leads: Callable[[float], Floats], edges: Floats
) -> Likeness:
    """What samples of the flagged show, or what the spec says, or ASSUMED.

    wanted: the spec's. hits: int64 (e, f), the samples of each of f flagged people that lead by each of the
    edges (e,), rising; expected: (e,), as many of somebody of the cohort. leads: of samples planted at a
    likeness, (k, v). Of samples that lead by the first edge, by how many of the others they lead on average
    falls with the likeness: so it is measured on samples that are recognised at all, whatever their number.
    Of the mean over people the lower limit of 95 % is taken.
    """
    if wanted is not None:
        return Likeness(wanted, "spec")
    depth = depths(hits, expected)
    if len(depth) < LEAST_FLAGGED:
        return Likeness(ASSUMED, "assumed")
    lowest = depth.mean() - ONE_SIDED * depth.std(ddof=1) / np.sqrt(len(depth))
    return Likeness(round(at_depth(lowest, leads, edges), 3), "measured")


def depths(hits: Integers, expected: Floats) -> Floats:
    """By how many further edges samples lead that lead by the first: of each flagged person who counts."""
    net = np.maximum(hits - expected[:, None], 0.0)
    net = net[:, net[0] >= LEAST_HITS]
    further: Floats = net[1:].sum(axis=0) / net[0]
    return further


def at_depth(depth: float, leads: Callable[[float], Floats], edges: Floats) -> float:
    """The likeness at which planted samples lead so far."""
    known = np.maximum.accumulate([mean_depth(leads(value), edges) for value in GRID])
    return float(np.interp(depth, known, GRID))


def mean_depth(leads: Floats, edges: Floats) -> float:
    """By how many further edges samples (k, v) lead that lead by the first one: the mean over people."""
    first = (leads >= edges[0]).sum(axis=1)
    further = sum((leads >= edge).sum(axis=1) for edge in edges[1:])
    seen = first > 0
    return float((further[seen] / first[seen]).mean()) if seen.any() else 0.0
