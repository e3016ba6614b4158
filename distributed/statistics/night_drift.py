"""Whether one night of an audit differs from another by more than chance explains."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import chi2_contingency, ks_2samp

from distributed.statistics.drift import WARN_BELOW
from distributed.statistics.similarity import Floats

LEAST_RATE_CHANGE = 0.01
"""With a million samples chance explains less than matters to anybody."""


@dataclass(frozen=True)
class Change:
    """A property on two nights: its values, a test of equality, and whether it is worth a warning."""

    before: float
    after: float
    p_value: float
    warns: bool


def rate_change(before: int, before_total: int, after: int, after_total: int) -> Change | None:
    """Compare two shares by Pearson's χ² test of homogeneity; the samples must not overlap.

    It warns if the shares differ by LEAST_RATE_CHANGE or more, too. None if a side has no samples.
    """
    if not before_total or not after_total:
        return None
    table = np.array([[before, before_total - before], [after, after_total - after]])
    same = not table.sum(axis=0).all()
    p_value = 1.0 if same else float(chi2_contingency(table, correction=False).pvalue)
    rates = before / before_total, after / after_total
    warns = p_value < WARN_BELOW and abs(rates[1] - rates[0]) >= LEAST_RATE_CHANGE
    return Change(*rates, p_value, warns)


def distribution_change(before: Floats, after: Floats) -> Change | None:
    """Compare two sets of values (m,) and (n,) by the Kolmogorov-Smirnov test, and report their means.

    Of the same people on two nights values are alike, not independent, which makes the test warn too seldom
    rather than too often. None if a side has no value.
    """
    if not len(before) or not len(after):
        return None
    p_value = float(ks_2samp(before, after).pvalue)
    return Change(float(np.mean(before)), float(np.mean(after)), p_value, p_value < WARN_BELOW)
