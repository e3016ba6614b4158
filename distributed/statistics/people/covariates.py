"""What is known of people beside their score: how much of it tells roles, and scores, apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from distributed.statistics.similarity import Floats

MOST_CATEGORIES = 20
"""Of a column that is no number; the rarer ones are one category."""
KNOTS = (0.25, 0.5, 0.75)
CLIPPED = (0.05, 0.95)
"""Quantiles that scores are clipped at before a model is fitted, so that members do not bend it."""
LEAST_SPREAD = 0.2
"""Of the mean spread."""


@dataclass(frozen=True)
class Adjustment:
    """What is expected of the scores of P people by their covariates, float64 (P,), and by how much they
    spread about it."""

    expected: Floats
    spread: Floats

    def of(self, scores: Floats) -> Floats:
        """scores: (P,)."""
        adjusted: Floats = (scores - self.expected) / self.spread
        return adjusted


def adjustment(scores: Floats, columns: Sequence[Floats]) -> Adjustment:
    """A model of the scores (P,) of all people by columns (P, c), which does not know their roles.

    Least squares of the clipped scores for what is expected, and of the residuals' size for the spread. As
    roles play no part, adjusted scores of exchangeable people are exchangeable.
    """
    design = np.concatenate([np.ones((len(scores), 1)), *columns], axis=1)
    clipped = np.clip(scores, *np.quantile(scores, CLIPPED))
    expected = _fitted(design, clipped)
    size = np.abs(clipped - expected)
    mean = float(size.mean()) or 1.0
    return Adjustment(expected, np.maximum(_fitted(design, size), LEAST_SPREAD * mean))


def explained(values: Floats, columns: Sequence[Floats]) -> float:
    """The share of the variance of values (P,) that least squares by columns explains, less what as many
    columns of noise would: adjusted R², 0 at least."""
    design = np.concatenate([np.ones((len(values), 1)), *columns], axis=1)
    rank, total = int(np.linalg.matrix_rank(design)), float(((values - values.mean()) ** 2).sum())
    if total == 0 or len(values) <= rank:
        return 0.0
    rest = float(((values - _fitted(design, values)) ** 2).sum())
    return max(0.0, 1 - rest / total * (len(values) - 1) / (len(values) - rank))


def number_columns(values: Floats) -> Floats:
    """A piecewise linear function of the rank, float64 (P, 4); NaN is the middle."""
    known = np.where(np.isnan(values), np.nanmedian(values) if not np.isnan(values).all() else 0.0, values)
    rank = (rankdata(known) - 0.5) / len(known)
    columns: Floats = np.stack([rank, *(np.maximum(rank - knot, 0.0) for knot in KNOTS)], axis=1)
    return columns


def text_columns(values: Sequence[str]) -> Floats:
    """Numbers as `number_columns`, if all values but "unknown" are; else one column for each category."""
    try:
        return number_columns(np.array([np.nan if text == "unknown" else float(text) for text in values]))
    except ValueError:
        names, counts = np.unique(np.array(values), return_counts=True)
        common = names[np.argsort(-counts, kind="stable")[: MOST_CATEGORIES - 1]]
        indicators: Floats = (np.array(values)[:, None] == common[1:]).astype(np.float64)
        return indicators


def separators(predicted: Floats, columns: Mapping[str, Floats]) -> dict[str, float]:
    """How much of what a classifier of roles says (P,) each property explains, the most first."""
    shares = {name: explained(predicted, [values]) for name, values in columns.items()}
    return dict(sorted(shares.items(), key=lambda item: -item[1]))


def _fitted(design: Floats, values: Floats) -> Floats:
    coefficients = np.linalg.lstsq(design, values, rcond=None)[0]
    fitted: Floats = design @ coefficients
    return fitted
