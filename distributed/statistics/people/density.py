"""Log densities on the sphere from the distance of the k-th nearest neighbour."""

from __future__ import annotations

import numpy as np
from scipy.special import betainc, betaln, hyp2f1

from distributed.statistics.similarity import Floats, Integers, Singles, Templates

# Stored templates are float16: nearer than this, an angle is rounding.
SMALLEST_ANGLE = 1e-3
UNDERFLOW = 1e-250
ROWS_AT_ONCE = 1024


def log_cap_share(similarity: Floats, d: int) -> Floats:
    """The log of the share of the unit sphere in d dimensions within angle arccos(similarity), same shape.

    Li 2011, Concise Formulas for the Area and Volume of a Hyperspherical Cap, Asian J. Math. Stat. 4(1):
    I(sin² θ; (d − 1)/2, 1/2) / 2 up to a half, with the regularised incomplete beta function.
    """
    angle = np.maximum(np.arccos(np.clip(similarity, -1.0, 1.0)), SMALLEST_ANGLE)
    share = np.log(0.5) + _log_beta(np.sin(angle) ** 2, (d - 1) / 2)
    log_share: Floats = np.where(angle <= np.pi / 2, share, np.log1p(-np.exp(share)))
    return log_share


def _log_beta(x: Floats, a: float) -> Floats:
    """log I(x; a, 1/2); by its series (DLMF 8.17.8) where the function itself would underflow."""
    small = x < UNDERFLOW ** (1 / a)
    near = np.where(small, x, 0.5)
    series = np.log(hyp2f1(a + 0.5, 1.0, a + 1.0, near)) + a * np.log(near) + 0.5 * np.log1p(-near)
    direct: Floats = np.log(betainc(a, 0.5, np.where(small, 0.5, x)), where=~small, out=np.zeros(x.shape))
    logarithm: Floats = np.where(small, series - np.log(a) - betaln(a, 0.5), direct)
    return logarithm


def log_density(similarity: Floats, k: int, n: Integers | int, d: int) -> Floats:
    """The k-nearest-neighbour estimate log k − log n − log share of the sphere within the k-th neighbour.

    Loftsgaarden and Quesenberry 1965, Ann. Math. Statist. 36(3). similarity: of the k-th nearest of n points.
    """
    density: Floats = np.log(k) - np.log(n) - log_cap_share(similarity, d)
    return density


def reference_log_density(
    templates: Singles, own: Integers, reference: Singles, reference_identity: Integers, k: int
) -> Floats:
    """The log density of a reference population at templates (n, d), own identity left out, float64 (n,).

    reference: (c, d), one template per reference identity; own: int64 (n,). Raises ValueError if c <= k.
    """
    if len(reference) <= k:
        raise ValueError(f"a density by the {k}-th neighbour needs more than {k} reference people")
    base = Templates.of(reference).exact
    kth, n = np.empty(len(templates)), np.empty(len(templates), dtype=np.int64)
    for start in range(0, len(templates), ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        similarity = Templates.of(templates[rows]).exact @ base.T
        same_person = own[rows, None] == reference_identity[None, :]
        similarity[same_person] = -np.inf
        kth[rows] = np.partition(similarity, -k, axis=1)[:, -k]
        n[rows] = len(base) - same_person.sum(axis=1)
    return log_density(kth, k, n, templates.shape[1])
