"""How well scores tell members from non-members, where the truth is known. No audit scores with it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import auc, average_precision_score, roc_curve

from distributed.reduce.similarity import Floats

CONFIDENCE = 0.95
FPR_BOUNDS = (0.01, 0.001)


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
class Evaluation:
    """Scores against labels; larger scores should mean members."""

    members: int
    non_members: int
    auc: Estimate
    average_precision: Estimate
    tpr_at_fpr: tuple[TprAtFpr, ...]


def evaluate(scores: Floats, member: NDArray[np.bool_], *, seed: int, resamples: int = 1000) -> Evaluation:
    """Evaluate scores (m,) of m identities with the truth member, bool (m,), for the bounds FPR_BOUNDS.

    Intervals resample identities, the unit of an audit, with replacement: members among members and
    non-members among non-members, because how many of each there are is set by who made the labels. A score
    of low FPR rests on few non-members, and its interval is rough. The same seed gives the same result.
    TPR at low FPR: Carlini et al. 2022, Membership Inference Attacks From First Principles, arXiv 2112.03570.
    Raises ValueError if only members or only non-members are given, or a score is NaN or infinite.
    """
    if scores.shape != member.shape or not np.isfinite(scores).all():
        raise ValueError("every identity needs a finite score and a label")
    members, non_members = int(member.sum()), int((~member).sum())
    if not members or not non_members:
        raise ValueError(f"an evaluation needs both; there are {members} members, {non_members} non-members")
    value = _figures(scores, member)
    spread = np.stack([_figures(scores[rows], member[rows]) for rows in _resample(member, seed, resamples)])
    low, high = np.quantile(spread, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2], axis=0)
    area, precision, *tprs = (Estimate(*map(float, each)) for each in zip(value, low, high, strict=True))
    at_fpr = zip(FPR_BOUNDS, tprs, strict=True)
    return Evaluation(
        members,
        non_members,
        area,
        precision,
        tuple(TprAtFpr(bound, tpr, 1 / non_members <= bound) for bound, tpr in at_fpr),
    )


def _resample(member: NDArray[np.bool_], seed: int, resamples: int) -> Iterator[NDArray[np.int64]]:
    generator = np.random.default_rng(seed)
    inside, outside = np.flatnonzero(member), np.flatnonzero(~member)
    for _ in range(resamples):
        yield np.concatenate([generator.choice(inside, len(inside)), generator.choice(outside, len(outside))])


def _figures(scores: Floats, member: NDArray[np.bool_]) -> Floats:
    """AUC, average precision and the TPR at each of FPR_BOUNDS, float64 (4,)."""
    fpr, tpr, _ = roc_curve(member, scores, drop_intermediate=False)
    at_fpr = [tpr[fpr <= bound].max() for bound in FPR_BOUNDS]
    return np.array([auc(fpr, tpr), average_precision_score(member, scores), *at_fpr])
