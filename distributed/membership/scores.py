"""Identity scores: how strongly the samples point at each person. Larger means more likely a member."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import floor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distributed.membership.cohort_norms import NormInputs, cohort_norm, s_norm, t_norm, z_norm
from distributed.membership.density import log_density
from distributed.reduce.neighbours import Partial
from distributed.statistics.similarity import (
    Comparer,
    Floats,
    Integers,
    Pairs,
    Templates,
    canonical,
    guard_band,
)

# Low enough that a hit means a likeness: in simulated worlds of 2,000 to 60,000 samples the hit rate told
# members apart better at 1e-4 than at 1e-3, because chance hits no longer drown theirs. Lower still, and
# most of a cohort has no hit at all, so that its hit rates tie and p-values are coarse.
OPERATING_FMR = 1e-4

PRODUCTS_AT_ONCE = 2**22


@dataclass(frozen=True)
class OperatingPoint:
    """A similarity threshold, the false match rate that it has, and the comparisons that this rests on."""

    threshold: float
    fmr: float
    comparisons: int


def operating_threshold(templates: NDArray[Any], identity: Integers, fmr: float) -> OperatingPoint:
    """The smallest float32 threshold whose false match rate among the cohort's own photos is at most fmr.

    templates: (g, d), float; identity: int64 (g,), counting from 0. The rate is the share of non-mated
    comparisons (each pair of photos of different identities, once) with similarity >= threshold: FMR as in
    ISO/IEC 19795-1. With fewer than 1/fmr comparisons the threshold lies just above all of them and the
    rate is 0. Raises ValueError without non-mated comparisons, or if fmr is not between 0 and 1.
    """
    if not 0 < fmr < 1:
        raise ValueError(f"a false match rate lies between 0 and 1, not {fmr}")
    comparisons = _non_mated_comparisons(identity)
    if comparisons == 0:
        raise ValueError("an operating threshold needs photos of at least two identities")
    photos = Templates.of(templates)
    allowed = floor(Fraction(str(fmr)) * comparisons)
    closest = _closest_non_mated(photos, identity, allowed + 1)
    refused, accepted = _order_statistic(photos, closest, allowed)
    threshold = np.nextafter(refused, np.float32(np.inf))
    return OperatingPoint(float(threshold), accepted / comparisons, comparisons)


def _non_mated_comparisons(identity: Integers) -> int:
    photos = np.bincount(identity)
    return (len(identity) ** 2 - int((photos * photos).sum())) // 2


def _closest_non_mated(photos: Templates, identity: Integers, count: int) -> Pairs:
    """All non-mated pairs that can be among the `count` most similar, and few others; bounded memory."""
    rows = max(1, PRODUCTS_AT_ONCE // len(photos))
    closest, lowest = Pairs.none(), -np.inf
    for start in range(0, len(photos), rows):
        left = photos.rounded[start : start + rows]
        pairs = Comparer(photos.rounded[start:]).pairs_above(left, np.full(len(left), lowest))
        pairs = replace(pairs, left=pairs.left + start, right=pairs.right + start)
        once = (pairs.left < pairs.right) & (identity[pairs.left] != identity[pairs.right])
        closest = Pairs.joined([closest, pairs[once]])
        if len(closest) > 2 * count:
            lowest = _lowest_possible(photos, closest, count)
            closest = closest[closest.similarity >= lowest]
    return closest


def _lowest_possible(photos: Templates, pairs: Pairs, count: int) -> float:
    """A float32 product below which no pair is canonically among the `count` most similar."""
    return _product_of_rank(pairs, count) - 2 * guard_band(photos.exact.shape[1])


def _product_of_rank(pairs: Pairs, rank: int) -> float:
    return float(np.partition(pairs.similarity, -rank)[-rank])


def _order_statistic(photos: Templates, closest: Pairs, allowed: int) -> tuple[np.float32, int]:
    """The largest canonical similarity that at most `allowed` pairs exceed, and how many exceed it.

    Only pairs within two guard bands of that rank's product can hold the rank; the others keep their side.
    """
    guard = guard_band(photos.exact.shape[1])
    product = _product_of_rank(closest, allowed + 1)
    above = closest.similarity > product + 2 * guard
    near = closest[~above & (closest.similarity >= product - 2 * guard)]
    similarity = np.sort(canonical(photos, photos, near))[::-1]
    certain = int(above.sum())
    refused = similarity[allowed - certain]
    return refused, certain + int((similarity > refused).sum())


@dataclass(frozen=True)
class Evidence:
    """All that the scores of g photos are computed from; what is None, no wanted score may need.

    partial: of all samples. topk: how many neighbours count. norms: for the scores of cohort_norms.py.
    reference_density: float64 (g,), log density of the reference population at each photo. dimension: of the
    templates. reference: the same search among a reference generator's samples.
    """

    partial: Partial
    topk: int
    dimension: int
    norms: NormInputs | None = None
    reference_density: Floats | None = None
    reference: Partial | None = None


def photo_scores(evidence: Evidence, names: Sequence[str]) -> dict[str, Floats]:
    """Score every photo: float64 (g,) for each of names; `identity_means` makes scores of identities of them.

    Raises ValueError without samples, for an unknown name, and for a score that lacks what it needs.
    """
    if evidence.partial.samples == 0:
        raise ValueError("no sample has a template, so no identity has a score")
    unknown = sorted(set(names) - set(PHOTO_SCORES))
    if unknown:
        raise ValueError(f"there is no score {unknown[0]}; there are {', '.join(PHOTO_SCORES)}")
    return {name: PHOTO_SCORES[name](evidence) for name in names}


def _max(evidence: Evidence) -> Floats:
    """The nearest sample's similarity: Chen et al. 2020, GAN-Leaks, arXiv 1909.03935."""
    return evidence.partial.neighbours.similarity[:, 0].astype(np.float64)


def _topk_mean(evidence: Evidence) -> Floats:
    """The mean similarity of the topk nearest samples, or of all samples if there are fewer.

    A smoother estimate of the density near the photo than the nearest sample alone (GAN-Leaks, as above).
    """
    nearest = evidence.partial.neighbours.similarity
    mean: Floats = nearest[:, : _wanted(evidence)].mean(axis=1, dtype=np.float64)
    return mean


def _wanted(evidence: Evidence) -> int:
    wanted = min(evidence.topk, evidence.partial.samples)
    kept = evidence.partial.neighbours.similarity.shape[1]
    if not 1 <= wanted <= kept:
        raise ValueError(f"topk is {evidence.topk}, and the search kept {kept} neighbours")
    return wanted


def _hit_rate(evidence: Evidence) -> Floats:
    """The share of samples in the photo's neighbourhood.

    Hilprecht, Härterich and Bernau 2019, Monte Carlo and Reconstruction Membership Inference Attacks against
    Generative Models, PETS 2019(4), eq. 4, with a similarity threshold in place of their distance.
    """
    rate: Floats = evidence.partial.photo_hits / evidence.partial.samples
    return rate


def _calibrated(evidence: Evidence) -> Floats:
    """`max` less `max` among as many samples of a reference generator: GAN-Leaks, section 4.5.

    Takes off what any generator of faces gives away of the photo.
    """
    if evidence.reference is None:
        raise ValueError("the score calibrated needs a reference generator's samples")
    nearest: Floats = evidence.reference.neighbours.similarity[:, 0].astype(np.float64)
    return _max(evidence) - nearest


def _density_ratio(evidence: Evidence) -> Floats:
    """Log density of the samples less that of the reference population, at the photo, both by the topk-th
    nearest neighbour: DOMIAS, van Breugel et al. 2023, arXiv 2302.12580, eq. 3."""
    if evidence.reference_density is None:
        raise ValueError("the score density_ratio needs a reference population")
    k, samples = _wanted(evidence), evidence.partial.samples
    kth = evidence.partial.neighbours.similarity[:, k - 1].astype(np.float64)
    return log_density(kth, k, samples, evidence.dimension) - evidence.reference_density


def _normed(norm: Callable[[NormInputs], Floats]) -> Callable[[Evidence], Floats]:
    def score(evidence: Evidence) -> Floats:
        if evidence.norms is None:
            raise ValueError(f"the score {norm.__name__} needs the templates of the nearest samples")
        return norm(evidence.norms)

    return score


PHOTO_SCORES: dict[str, Callable[[Evidence], Floats]] = {
    "cohort_norm": _normed(cohort_norm),
    "max": _max,
    "topk_mean": _topk_mean,
    "hit_rate": _hit_rate,
    "density_ratio": _density_ratio,
    "calibrated": _calibrated,
    "z_norm": _normed(z_norm),
    "t_norm": _normed(t_norm),
    "s_norm": _normed(s_norm),
}
NORMS = frozenset({"cohort_norm", "z_norm", "t_norm", "s_norm"})
