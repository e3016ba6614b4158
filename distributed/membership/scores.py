"""Identity scores: how strongly the samples point at each person. Larger means more likely a member."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from distributed.reduce.partial import Partial
from distributed.statistics.people.density import log_density
from distributed.statistics.similarity import Floats

EQUIVARIANT_SCORES = frozenset({"margin", "max", "topk_mean", "calibrated"})
"""Permuting candidates and cohort permutes these. Not so: the threshold of `hit_rate`, the reference of
`density_ratio` and the scale of `consensus` are the cohort's alone."""
TEMPERATURE = 0.05
"""Of `margin`: how much more a near sample counts than a less near one. Chosen in simulated worlds."""


@dataclass(frozen=True)
class Evidence:
    """All that the scores of P people are computed from; what is None, no wanted score may need.

    partial: of all samples. topk: how many neighbours count. reference_density: float64 (P,), log density of
    the reference population at each person. dimension: of the templates. reference: the same search among a
    reference generator's samples.
    """

    partial: Partial
    topk: int
    dimension: int
    reference_density: Floats | None = None
    reference: Partial | None = None


def person_scores(evidence: Evidence, names: Sequence[str]) -> dict[str, Floats]:
    """Score every person: float64 (P,) for each of names.

    Raises ValueError without samples, for an unknown name, and for a score that lacks what it needs.
    """
    if evidence.partial.samples == 0:
        raise ValueError("no sample has a template, so no identity has a score")
    unknown = sorted(set(names) - set(PERSON_SCORES))
    if unknown:
        raise ValueError(f"there is no score {unknown[0]}; there are {', '.join(PERSON_SCORES)}")
    return {name: PERSON_SCORES[name](evidence) for name in names}


def _margin(evidence: Evidence) -> Floats:
    """log Σ exp(m / TEMPERATURE) over the margins m of the topk nearest samples: how many of them, and by how
    much, fit this person better than the other people whom they fit best.

    Scores are equivariant under permutations of people: the centre follows from the samples alone, and the
    other people are candidates and cohort alike. See docs/method.md.
    """
    margin = evidence.partial.neighbours.margin.astype(np.float64)
    largest = margin.max(axis=1, keepdims=True)
    sums: Floats = np.exp((margin - largest) / TEMPERATURE).sum(axis=1)
    score: Floats = largest[:, 0] / TEMPERATURE + np.log(sums)
    return score


def _max(evidence: Evidence) -> Floats:
    """The nearest sample's similarity: Chen et al. 2020, GAN-Leaks, arXiv 1909.03935."""
    return evidence.partial.neighbours.similarity[:, 0].astype(np.float64)


def _topk_mean(evidence: Evidence) -> Floats:
    """The mean similarity of the topk nearest samples, or of all samples if there are fewer.

    A smoother estimate of the density near the person than the nearest sample alone (GAN-Leaks, as above).
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
    """The share of samples in the person's neighbourhood.

    Hilprecht, Härterich and Bernau 2019, Monte Carlo and Reconstruction Membership Inference Attacks against
    Generative Models, PETS 2019(4), eq. 4, with a similarity threshold in place of their distance.
    """
    rate: Floats = evidence.partial.hits / evidence.partial.samples
    return rate


def _calibrated(evidence: Evidence) -> Floats:
    """`max` less `max` among as many samples of a reference generator: GAN-Leaks, section 4.5.

    Takes off what any generator of faces gives away of the person.
    """
    if evidence.reference is None:
        raise ValueError("the score calibrated needs a reference generator's samples")
    nearest: Floats = evidence.reference.neighbours.similarity[:, 0].astype(np.float64)
    return _max(evidence) - nearest


def _density_ratio(evidence: Evidence) -> Floats:
    """Log density of the samples less that of the reference population, at the person, both by the topk-th
    nearest neighbour: DOMIAS, van Breugel et al. 2023, arXiv 2302.12580, eq. 3."""
    if evidence.reference_density is None:
        raise ValueError("the score density_ratio needs a reference population")
    k, samples = _wanted(evidence), evidence.partial.samples
    kth = evidence.partial.neighbours.similarity[:, k - 1].astype(np.float64)
    return log_density(kth, k, samples, evidence.dimension) - evidence.reference_density


PERSON_SCORES: dict[str, Callable[[Evidence], Floats]] = {
    "margin": _margin,
    "max": _max,
    "topk_mean": _topk_mean,
    "hit_rate": _hit_rate,
    "density_ratio": _density_ratio,
    "calibrated": _calibrated,
}
