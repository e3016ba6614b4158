"""How often the samples hit each candidate, against the spread of hit rates among people not trained on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta

from distributed.statistics.calibration import Q_DECIMALS, conformal_p_values, smallest_p_value
from distributed.statistics.similarity import Floats, Integers

CONFIDENCE = 0.95
TIMES = 3
"""So many times as often as others who leak must somebody be hit to be called over-represented."""
MILLION = 1e6
# In simulated worlds 5 % found more than 10 % or 20 % did, and its false alarms stayed within the level.
TAIL_SHARE = 0.05
LEAST_TAIL = 10


@dataclass(frozen=True)
class OverRepresentation:
    """m candidates' hit rates, arrays float64 (m,), against the cohort's.

    per_million, low, high: hits per million samples, with Clopper and Pearson's exact interval of CONFIDENCE.
    It takes samples as independent draws, and says how well the rate is measured, not what is unusual. Its
    coverage is never below CONFIDENCE, and above it for small counts: 98.8 % where 3 hits are expected.
    expected_per_million: the arithmetic mean of the cohort's rates, how often a person outside the training
    data is hit on average. Zeros need no special case, and a few people who look like everybody raise it, so
    it errs towards a smaller ratio, unlike a median or a geometric mean.
    ratio: per_million over expected_per_million; where that is 0, inf with hits and NaN without.
    p_value: in (0, 1], that of `tail_p_values_of_hits`: of a model, which a conformal p-value is not.
    """

    per_million: Floats
    low: Floats
    high: Floats
    expected_per_million: float
    ratio: Floats
    p_value: Floats


def over_representation(hits: Integers, samples: int, cohort_hits: Integers) -> OverRepresentation:
    """Compare hits, int64 (m,), of `samples` samples with the cohort's, int64 (n,).

    Raises ValueError without samples or cohort, or if a count lies outside [0, samples].
    """
    if samples < 1 or not len(cohort_hits):
        raise ValueError("over-representation needs at least one sample and one cohort identity")
    for counts in (hits, cohort_hits):
        if counts.ndim != 1 or ((counts < 0) | (counts > samples)).any():
            raise ValueError(f"hits must be counts between 0 and {samples} in one row")
    low, high = _clopper_pearson(hits, samples)
    rate = hits / samples * MILLION
    expected = float(cohort_hits.mean() / samples * MILLION)
    p = tail_p_values_of_hits(hits, cohort_hits)
    return OverRepresentation(rate, low * MILLION, high * MILLION, expected, _ratio(rate, expected), p)


def _clopper_pearson(hits: Integers, samples: int) -> tuple[Floats, Floats]:
    """Clopper and Pearson 1934, Biometrika 26(4), by quantiles of the beta distribution."""
    tail = (1 - CONFIDENCE) / 2
    low = np.where(hits > 0, beta.ppf(tail, np.maximum(hits, 1), samples - hits + 1), 0.0)
    high = np.where(hits < samples, beta.ppf(1 - tail, hits + 1, np.maximum(samples - hits, 1)), 1.0)
    return low, high


def _ratio(rate: Floats, expected: float) -> Floats:
    if expected > 0:
        return rate / expected
    return np.where(rate > 0, np.inf, np.nan)


@dataclass(frozen=True)
class Standing:
    """How often r people are hit against others, arrays float64 (r,).

    least_times: the lower limit of a person's rate over the upper limit of the median of the others'. others:
    int64 (r,), how many these are.
    """

    least_times: Floats
    others: Integers

    def outstanding(self) -> NDArray[np.bool_]:
        """Who is hit more than TIMES as often as the median of the others."""
        flags: NDArray[np.bool_] = self.least_times > TIMES
        return flags


def standing(hits: Integers, samples: int, others: Integers | None, error: float) -> Standing:
    """Compare r people's hits of `samples`, int64 (r,), with the others' among them, or with `others`.

    others: int64 (o,), hits of other people; None: each is compared with the rest of the r, who must be two
    or more. Limits are Clopper and Pearson's, one-sided, at error / 2r, so that with r people the chance that
    anybody's is wrong is at most `error` on the side of the person, and half of it for each other person's.
    Nothing is assumed of how rates are spread. Raises ValueError if there is nobody to compare with.
    """
    r = len(hits)
    if others is None and r < 2:
        raise ValueError("one person cannot be compared with the others of one")
    level = error / 2 / max(1, r)
    low = np.where(hits > 0, beta.ppf(level, np.maximum(hits, 1), samples - hits + 1), 0.0)
    rivals = hits if others is None else others
    high = np.where(rivals < samples, beta.ppf(1 - level, rivals + 1, np.maximum(samples - rivals, 1)), 1.0)
    if others is not None:
        return Standing(low / np.median(high), np.full(r, len(others)))
    medians = np.array([np.median(np.delete(high, place)) for place in range(r)])
    return Standing(low / medians, np.full(r, r - 1))


def tail_p_values_of_hits(hits: Integers, cohort_hits: Integers) -> Floats:
    """P-values, float64 (m,), of "this hit rate comes from the spread of rates outside the training data".

    THE ASSUMPTION: a candidate who is not a member is exchangeable with the cohort, and above the count u
    that about TAIL_SHARE of the cohort (at least LEAST_TAIL) exceed, log rates thin out at least as fast as
    an exponential distribution: the rates' tail is no heavier than Pareto's. It holds if the log rate has a
    log-concave density, as for gamma rates (negative binomial counts) and lognormal rates of any spread.
    It is a model, and far above its largest count the cohort cannot confirm it; the conformal p-value needs
    exchangeability alone. Where it fails, this test flags non-members: in simulated worlds where 1 in 200
    people outside the training data was hit 100 times as often as the others, 22 % had somebody flagged.

    With k cohort counts above u, and S the sum of their log((c + 1/2) / (u + 1/2)), a count h > u has
    p = (k + 1)/(n + 1) · (1 + log((h + 1/2) / (u + 1/2)) / S)^−k. For exponential log excesses that is exact
    for any k: spacings above an order statistic are exponential (Rényi 1953, Acta Math. Hung. 4), and one of
    them over the sum of k others has a Lomax distribution. So it holds the uncertainty of Hill's (1975, Ann.
    Statist. 3(5)) estimate S/k. Up to u, and if nobody in the cohort has a hit, p is the conformal p-value.
    p is at least #{cohort >= h} / (n + 1): no one is judged by the model below what the cohort itself shows.
    A half is added because counts are discrete; a count's own noise makes the tail look heavier, not lighter.

    Why not a fit of all counts: with 158 candidates, a cohort of 452 and level 0.05, predictive tails of a
    gamma-Poisson flagged somebody in 17 to 61 % of 200 lognormal null worlds, and both they and those of a
    Poisson-lognormal in over 90 % of worlds where 2 % of people had 100 times the rate. This test did in at
    most 2.3 % of 1,000 worlds of either kind. The price is power: where lognormal rates have σ = 2 or the
    cohort itself reaches far, one who makes 3 % of the samples is mostly not flagged.

    Raises ValueError without a cohort.
    """
    if not len(cohort_hits):
        raise ValueError("a tail needs a cohort")
    conformal = conformal_p_values(hits.astype(np.float64), cohort_hits.astype(np.float64))
    floor = _tail_floor(cohort_hits)
    tail = cohort_hits[cohort_hits > floor]
    if not len(tail):
        return conformal
    k, total = len(tail), float(np.sort(_log_excess(tail, floor)).sum())
    above = np.maximum(_log_excess(hits, floor), 0.0)
    p = (k + 1) / (len(cohort_hits) + 1) * np.exp(-k * np.log1p(above / total))
    seen = conformal - smallest_p_value(len(cohort_hits))
    lowest = np.maximum(seen, np.finfo(np.float64).tiny)
    return np.where(hits > floor, np.maximum(p, lowest), conformal)


def _tail_floor(cohort_hits: Integers) -> int:
    """The largest count that at least the tail's share of the cohort exceeds, or 0 if too few have hits."""
    ranked = np.sort(cohort_hits)[::-1]
    wanted = min(len(ranked), max(LEAST_TAIL, int(TAIL_SHARE * len(ranked))))
    below = ranked[ranked < ranked[wanted - 1]]
    return int(below[0]) if len(below) else 0


def _log_excess(hits: Integers, floor: int) -> Floats:
    excess: Floats = np.log((hits + 0.5) / (floor + 0.5))
    return excess


def more_than_cohort(p: Floats, fdr: float) -> NDArray[np.bool_]:
    """Which of m candidates are flagged, bool (m,): Holm 1979, Scand. J. Statist. 6(2), at level fdr.

    It bounds the chance that anybody is flagged wrongly, under any dependence, and so the false discovery
    rate too. These p-values share one fitted tail, and one that fits badly lowers all of them. Benjamini and
    Hochberg's bounds would rise with each person flagged, and draw in the lookalikes of a leaked person. The
    test is for a few extreme rates, and both need p <= fdr/m for a single one; for many, use conformal p.
    Raises ValueError if fdr lies outside (0, 1) or a p-value outside [0, 1].
    """
    if not 0 < fdr < 1:
        raise ValueError(f"a false discovery rate lies between 0 and 1, not {fdr}")
    if not ((p >= 0) & (p <= 1)).all():
        raise ValueError("p-values lie between 0 and 1")
    order = np.argsort(p, kind="stable")
    scaled = np.round(p[order] * np.arange(len(p), 0, -1), Q_DECIMALS)
    flagged = np.empty(len(p), dtype=np.bool_)
    flagged[order] = np.maximum.accumulate(scaled) <= round(fdr, Q_DECIMALS)
    return flagged
