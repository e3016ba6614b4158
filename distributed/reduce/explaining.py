"""Explaining away: a sample supports the person whom it fits best."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distributed.reduce.similarity import Floats, Integers, Singles, Templates

# Fits that differ by less are equal, so that the last bits of a matrix product decide nothing, and two names
# for one person do not take each other's samples.
EQUAL_FIT = 1e-9


def mean_templates(templates: Singles, identity: Integers, people: Integers) -> Floats:
    """The mean of each person's unit templates, float64 (f, d), for the identities `people`, int64 (f,)."""
    means = [Templates.of(templates[identity == one]).exact.mean(axis=0) for one in people]
    return np.stack(means) if means else np.empty((0, templates.shape[1]))


def supported(samples: NDArray[Any], means: Floats) -> NDArray[np.bool_]:
    """Which of f people each sample supports, bool (n, f): the one whom it fits best.

    The fit is the mean similarity to the person's photos. samples: (n, d), float; means: from
    `mean_templates`. Almost every row has one true entry; equal fits have several.
    """
    if not len(samples) or not len(means):
        return np.zeros((len(samples), len(means)), dtype=np.bool_)
    fit = Templates.of(samples).exact @ means.T
    best: NDArray[np.bool_] = fit >= fit.max(axis=1, keepdims=True) - EQUAL_FIT
    return best


def explainer(supports: NDArray[np.bool_], own: int) -> int | None:
    """The column of who is supported by most of the samples in `supports` (n, f), other than `own`."""
    counts = Counter({column: int(total) for column, total in enumerate(supports.sum(axis=0))})
    del counts[own]
    best = max(counts.items(), key=lambda item: (item[1], -item[0]), default=(0, 0))
    return best[0] if best[1] else None
