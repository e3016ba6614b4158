"""Explaining away: a sample supports the person whom it fits best."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distributed.statistics.similarity import Floats, Integers, Templates

# Fits that differ by less are equal, so that the last bits of a matrix product decide nothing, and two names
# for one person do not take each other's samples.
EQUAL_FIT = 1e-9
TEMPERATURE = 0.1  # about the spread of similarities between photos of one person


def fits(samples: NDArray[Any], photos: NDArray[Any], person: Integers) -> Floats:
    """How well each sample fits each of f people, float64 (n, f): τ · log(mean of exp(similarity / τ)).

    The mean is over the person's photos, so it does not rise with their number, and τ = TEMPERATURE lets the
    best photos weigh most: a sample that is like one photo of a person fits that person, whatever the others.
    samples: (n, d); photos: (g, d); person: int64 (g,), whose photo, 0 to f − 1, each with at least one.
    """
    similarity = Templates.of(samples).exact @ Templates.of(photos).exact.T
    weights = np.exp((similarity - 1) / TEMPERATURE)
    membership = np.zeros((len(photos), int(person.max()) + 1))
    membership[np.arange(len(photos)), person] = 1
    means: Floats = (weights @ membership) / membership.sum(axis=0)
    return 1 + TEMPERATURE * np.log(means)


def supported(samples: NDArray[Any], photos: NDArray[Any], person: Integers) -> NDArray[np.bool_]:
    """Which of f people each sample supports, bool (n, f): the one whom it fits best. See `fits`.

    Almost every row has one true entry; equal fits have several.
    """
    people = int(person.max()) + 1
    if not len(samples):
        return np.zeros((0, people), dtype=np.bool_)
    fit = fits(samples, photos, person)
    best: NDArray[np.bool_] = fit >= fit.max(axis=1, keepdims=True) - EQUAL_FIT
    return best


def explainer(supports: NDArray[np.bool_], own: int) -> int | None:
    """The column of who is supported by most of the samples in `supports` (n, f), other than `own`."""
    counts = Counter({column: int(total) for column, total in enumerate(supports.sum(axis=0))})
    del counts[own]
    best = max(counts.items(), key=lambda item: (item[1], -item[0]), default=(0, 0))
    return best[0] if best[1] else None
