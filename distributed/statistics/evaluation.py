"""How well scores tell members from non-members, where the truth is known. No audit scores with it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm
from sklearn.metrics import det_curve

from distributed.statistics.people.separation import clopper_pearson
from distributed.statistics.similarity import Floats, Integers

CONFIDENCE = 0.95
FPR_BOUNDS = (0.01, 0.001, 0.0001)
DET_POINTS = 200
COUNTS_AT_ONCE = 2**18  # resampled identities whose arrays stay in a core's cache


@dataclass(frozen=True)
class Estimate:
    """A value and its interval of CONFIDENCE."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class TprAtFpr:
    """The largest TPR with FPR <= bound. tpr: None if one non-member is more than the bound, so that
    non-members do not resolve it: it takes `non_members_needed`."""

    bound: float
    tpr: Estimate | None

    @property
    def resolved(self) -> bool:
        return self.tpr is not None


@dataclass(frozen=True)
class Det:
    """Points of the detection error tradeoff: the FNR at each FPR, by falling FPR. At most DET_POINTS."""

    fpr: tuple[float, ...]
    fnr: tuple[float, ...]


@dataclass(frozen=True)
class Evaluation:
    """Scores against labels; larger scores should mean members."""

    members: int
    non_members: int
    auc: Estimate
    average_precision: Estimate
    eer: Estimate
    tpr_at_fpr: tuple[TprAtFpr, ...]
    det: Det


def evaluate(scores: Floats, member: NDArray[np.bool_], *, seed: int, resamples: int = 1000) -> Evaluation:
    """Evaluate scores (m,) of m identities with the truth member, bool (m,), for the bounds FPR_BOUNDS.

    Intervals resample identities, the unit of an audit, with replacement: members among members and
    non-members among non-members, because how many of each there are is set by who made the labels. The same
    seed gives the same result. Where all members stand above all non-members, or all below, every resample
    is alike, and intervals are the exact ones of `least_auc`. That of a TPR covers Clopper and Pearson's of
    as many of the members, too.
    TPR at low FPR: Carlini et al. 2022, Membership Inference Attacks From First Principles, arXiv 2112.03570.
    EER, the equal error rate: the operating points of all thresholds are joined by straight lines, and the
    EER is where FPR (FMR in ISO/IEC 19795-1) equals FNR (FNMR) on them. DET: det_curve of scikit-learn;
    if it has more than DET_POINTS points, those that lie evenly along the curve on the normal-deviate axes of
    Martin et al. 1997, The DET Curve in Assessment of Detection Task Performance, with both ends.
    Raises ValueError if only members or only non-members are given, or a score is NaN or infinite.
    """
    if scores.shape != member.shape or not np.isfinite(scores).all():
        raise ValueError("every identity needs a finite score and a label")
    members, non_members = int(member.sum()), int((~member).sum())
    if not members or not non_members:
        raise ValueError(f"an evaluation needs both; there are {members} members, {non_members} non-members")
    value = _figures(scores, member, np.ones((1, len(scores)), dtype=np.int64))[0]
    spread = [_figures(scores, member, counts) for counts in _resample(member, seed, resamples)]
    low, high = np.quantile(np.concatenate(spread), [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2], axis=0)
    area, precision, eer, *tprs = (Estimate(*map(float, each)) for each in zip(value, low, high, strict=True))
    inside, outside = scores[member], scores[~member]
    least = least_auc(members, non_members)
    if inside.max() < outside.min():
        area, eer = Estimate(0.0, 0.0, 1 - least), Estimate(1.0, least, 1.0)
    if inside.min() > outside.max():
        area, eer = Estimate(1.0, least, 1.0), Estimate(0.0, 0.0, 1 - least)
        precision = Estimate(1.0, _least_precision(1 - least, members, non_members), 1.0)
    at_fpr = tuple(
        TprAtFpr(bound, _of_a_rate(tpr, members) if non_members >= non_members_needed(bound) else None)
        for bound, tpr in zip(FPR_BOUNDS, tprs, strict=True)
    )
    return Evaluation(members, non_members, area, precision, eer, at_fpr, _det(scores, member))


def non_members_needed(bound: float) -> int:
    """The fewest of whom one is no more than the bound of the FPR."""
    return int(np.ceil(round(1 / bound, 9)))


def least_auc(members: int, non_members: int) -> float:
    """The lower limit of the AUC if all members stand above all non-members; without any assumption.

    Members and non-members make min(members, non_members) pairs that share nobody, each in order with the
    chance AUC, so all of them are with that chance to this power: Clopper and Pearson's limit for so many of
    so many (Hoeffding 1963, J. Am. Stat. Assoc. 58, section 5, bounds a U-statistic by such pairs, with the
    same limit). It limits 1 - EER too: where FNR and FPR are e, all are in order only if no member is below
    that threshold or no non-member above, of which the chance is at most 2 (1 - e)^min.
    """
    return float(((1 - CONFIDENCE) / 2) ** (1 / min(members, non_members)))


def _least_precision(eer: float, members: int, non_members: int) -> float:
    """The least average precision with an equal error rate of at most `eer`, at the labels' own mixture.

    The precision at the TPR t is t / (t + o FPR), o non-members a member; the FPR is at most eer for t up to
    1 - eer, and at most 1 beyond. This is the integral of that over t.
    """
    odds = non_members / members

    def area(upto: float, fpr: float) -> float:
        return upto - odds * fpr * float(np.log1p(upto / (odds * fpr)))

    return area(1 - eer, eer) + area(1.0, 1.0) - area(1 - eer, 1.0)


def _of_a_rate(tpr: Estimate, members: int) -> Estimate:
    """With the exact interval at its threshold too: a bootstrap of few members is shorter, or a point."""
    low, high = clopper_pearson(tpr.value, members)
    return Estimate(tpr.value, min(tpr.low, low), max(tpr.high, high))


def _resample(member: NDArray[np.bool_], seed: int, resamples: int) -> Iterator[Integers]:
    """How often each identity is drawn, int64 (b, m) in blocks of b resamples."""
    generator = np.random.default_rng(seed)
    inside, outside = np.flatnonzero(member), np.flatnonzero(~member)
    at_once = max(1, COUNTS_AT_ONCE // len(member))
    for start in range(0, resamples, at_once):
        counts = np.zeros((min(at_once, resamples - start), len(member)), dtype=np.int64)
        for row in counts:
            for side in (inside, outside):
                row += np.bincount(generator.choice(side, len(side)), minlength=len(member))
        yield counts


def _figures(scores: Floats, member: NDArray[np.bool_], counts: Integers) -> Floats:
    """AUC, average precision, EER and the TPR at each of FPR_BOUNDS, float64 (b, 6), for counts (b, m).

    As roc_curve, auc and average_precision_score of scikit-learn, but for b resamples in one pass.
    """
    true, false = (_at_thresholds(scores, np.where(side, counts, 0)) for side in (member, ~member))
    tpr, fpr = true / true[:, -1:], false / false[:, -1:]
    precision = true[:, 1:] / np.maximum(1, true + false)[:, 1:]
    area = (np.diff(fpr) * (tpr[:, 1:] + tpr[:, :-1]) / 2).sum(axis=1)
    at_fpr = [np.where(fpr <= bound, tpr, 0.0).max(axis=1) for bound in FPR_BOUNDS]
    average_precision = (np.diff(tpr) * precision).sum(axis=1)
    return np.stack([area, average_precision, _equal_error(fpr, 1 - tpr), *at_fpr], axis=1)


def _at_thresholds(scores: Floats, counts: Integers) -> Integers:
    """How many score at least each threshold, int64 (b, g + 1): above all, then the g scores, falling."""
    order = np.argsort(-scores, kind="stable")
    last = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
    return np.pad(np.cumsum(counts[:, order], axis=1)[:, last], ((0, 0), (1, 0)))


def _equal_error(fpr: Floats, fnr: Floats) -> Floats:
    """Where the line through the points fpr and fnr, (b, g + 1), crosses fpr = fnr, float64 (b,)."""
    rows, excess = np.arange(len(fpr)), fpr - fnr
    after = np.argmax(excess >= 0, axis=1)
    here, before = excess[rows, after], excess[rows, after - 1]
    share = -before / (here - before)
    crossing: Floats = fpr[rows, after - 1] + share * (fpr[rows, after] - fpr[rows, after - 1])
    return crossing


def _det(scores: Floats, member: NDArray[np.bool_]) -> Det:
    fpr, fnr, _ = det_curve(member, scores)
    if len(fpr) > DET_POINTS:
        kept = _evenly_along(_deviate(fpr, int((~member).sum())), _deviate(fnr, int(member.sum())))
        fpr, fnr = fpr[kept], fnr[kept]
    return Det(tuple(fpr.tolist()), tuple(fnr.tolist()))


def _deviate(rate: Floats, n: int) -> Floats:
    """Normal deviates of error rates among n; half an error stands for none."""
    deviate: Floats = norm.ppf(np.clip(rate, 0.5 / n, 1 - 0.5 / n))
    return deviate


def _evenly_along(x: Floats, y: Floats) -> Integers:
    """At most DET_POINTS indices, rising, at about equal steps along the points x and y, with both ends."""
    length = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y)))])
    marks = np.linspace(0.0, length[-1], DET_POINTS)
    kept = np.searchsorted(length, marks)
    kept[-1] = len(x) - 1
    return np.unique(kept)
