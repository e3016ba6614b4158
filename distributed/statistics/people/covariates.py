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
HUBER = 1.345
"""Residuals of more standard deviations count less: 95 % efficiency at a normal law (Huber 1964)."""
NORMAL_MEDIAN = 0.6745
"""Of the size of a standard normal variable."""
LEAST_SCALE = 0.05
"""Of the residuals' mean size, which also is a scale where most people have the very same score."""
STEPS = 50
CONVERGED = 1e-4
"""Of the residuals' scale: a step that moves every expected value by less is the last one."""
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

    Robust regression, so that members bend it little: of the scores for what is expected, and of the size of
    the residuals for the spread. As roles play no part, adjusted scores of exchangeable people are
    exchangeable.
    """
    design = np.concatenate([np.ones((len(scores), 1)), *columns], axis=1)
    expected = robustly_fitted(design, scores)
    size = np.abs(scores - expected)
    spread = robustly_fitted(design, size)
    return Adjustment(expected, np.maximum(spread, LEAST_SPREAD * (float(spread.mean()) or 1.0)))


def robustly_fitted(design: Floats, values: Floats) -> Floats:
    """Huber's M-estimate of values (P,) by a design (P, c), float64 (P,), with the residuals' median size as
    scale, by iteratively reweighted least squares (Holland and Welsch 1977).

    Residuals are what is bounded, not values: a rare group far from all others keeps a level of its own.
    scikit-learn's HuberRegressor takes many times as long, and its scale grows with heavy tails.
    """
    fitted = _fitted(design, values)
    for _ in range(STEPS):
        size = np.abs(values - fitted)
        scale = max(float(np.median(size)) / NORMAL_MEDIAN, LEAST_SCALE * float(size.mean()))
        if scale == 0:
            break
        weighted = design * np.minimum(1.0, HUBER * scale / np.maximum(size, scale))[:, None]
        before, fitted = fitted, design @ _solution(weighted.T @ design, weighted.T @ values)
        if np.abs(fitted - before).max() <= CONVERGED * scale:
            break
    return fitted


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
    """By least squares."""
    fitted: Floats = design @ _solution(design, values)
    return fitted


def _solution(matrix: Floats, right: Floats) -> Floats:
    return np.asarray(np.linalg.lstsq(matrix, right, rcond=None)[0], dtype=np.float64)
