"""How well scores tell members from non-members, where the truth is known. No audit scores with it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm
from sklearn.metrics import det_curve

from distributed.statistics.similarity import Floats, Integers

CONFIDENCE = 0.95
FPR_BOUNDS = (0.01, 0.001, 0.0001)
DET_POINTS = 200
COUNTS_AT_ONCE = 2**18  # resampled identities whose arrays stay in a core's cache


@dataclass(frozen=True)
class Estimate:
    """A value and its bootstrap percentile interval of CONFIDENCE."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class TprAtFpr:
    """The largest TPR with FPR <= bound. Not resolved: one non-member is more than the bound, so FPR is 0."""

    bound: float
    tpr: Estimate
    resolved: bool


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
    non-members among non-members, because how many of each there are is set by who made the labels. A score
    of low FPR rests on few non-members, and its interval is rough. The same seed gives the same result.
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
    at_fpr = zip(FPR_BOUNDS, tprs, strict=True)
    return Evaluation(
        members,
        non_members,
        area,
        precision,
        eer,
        tuple(TprAtFpr(bound, tpr, 1 / non_members <= bound) for bound, tpr in at_fpr),
        _det(scores, member),
    )


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
