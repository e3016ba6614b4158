"""Whether candidates and cohort were captured alike: what exchangeability rests on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import ks_2samp

from distributed.statistics.similarity import Floats

WARN_BELOW = 0.01


@dataclass(frozen=True)
class Drift:
    """One property of the gallery's identities, on both sides: means, and a two-sample test of equality."""

    what: str
    candidates: float
    cohort: float
    p_value: float

    @property
    def warns(self) -> bool:
        return self.p_value < WARN_BELOW


def drift(name: str, candidates: Floats, cohort: Floats) -> Drift | None:
    """Compare a property of m candidates with n cohort identities by the Kolmogorov-Smirnov test.

    NaN is left out; None if a side has no value. A difference says that the sides are not exchangeable in
    this property; no difference says only that none was found.
    """
    a, b = candidates[~np.isnan(candidates)], cohort[~np.isnan(cohort)]
    if not len(a) or not len(b):
        return None
    p_value = float(ks_2samp(a, b).pvalue)
    return Drift(name, float(a.mean()), float(b.mean()), p_value)
