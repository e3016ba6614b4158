"""How well a recogniser tells people apart: mated against non-mated pairs of their photos."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta

from distributed.statistics.people.operating_point import operating_threshold
from distributed.statistics.people.population import match_rates
from distributed.statistics.similarity import Floats, Integers, Templates

FMR = 0.01
LEAST_TAR, GOOD_TAR = 0.5, 0.9
MOST_ALIKE, ALIKE = 0.6, 0.15
"""Mean cosines of different people. The four bounds are measured: see `docs/method.md`."""
MOST_PEOPLE, MOST_PHOTOS = 500, 4
CONFIDENCE = 0.95
LEAST_ACCEPTED = 10


class Quality(StrEnum):
    """Whether an audit can rest on a recogniser's templates."""

    GOOD = "good"
    WEAK = "weak"
    UNUSABLE = "unusable"


@dataclass(frozen=True)
class MatedRate:
    """TAR at FMR: the mean over people of the share of their pairs of photos above the threshold, with its
    interval of CONFIDENCE. mean_similarity: over people too."""

    people: int
    fmr: float
    threshold: float
    tar: float
    low: float
    high: float
    mean_similarity: float


@dataclass(frozen=True)
class Separation:
    """What a gallery's templates show of their recogniser.

    photos, people: how many were compared. mean, deviation: of the cosines of non-mated pairs. mated: None
    unless two people or more have two photos.
    """

    photos: int
    people: int
    mean: float
    deviation: float
    mated: MatedRate | None

    @property
    def quality(self) -> Quality:
        """By the TAR where there are mated pairs; by how alike different people are where these are none, or
        so few that their interval holds LEAST_TAR. Never good where different people are MOST_ALIKE."""
        if self.mated is not None and self.mated.high < LEAST_TAR:
            return Quality.UNUSABLE
        if self.mated is not None and self.mated.low >= LEAST_TAR:
            sound = self.mated.tar >= GOOD_TAR and self.mean <= MOST_ALIKE
            return Quality.GOOD if sound else Quality.WEAK
        if self.mean > MOST_ALIKE:
            return Quality.UNUSABLE
        few_but_poor = self.mated is not None and self.mated.tar < GOOD_TAR
        return Quality.WEAK if few_but_poor or self.mean > ALIKE else Quality.GOOD

    @property
    def decidability(self) -> float:
        """Larger is better: the mated mean over the non-mated, in deviations of the latter; without mated
        pairs, how unlike different people are."""
        if self.mated is None:
            return -self.mean
        return (self.mated.mean_similarity - self.mean) / max(self.deviation, 1e-9)


def resolved_fmr(templates: int, people: int) -> float:
    """The least FMR among 0.01, 0.001, … at which LEAST_ACCEPTED non-mated pairs or more are accepted, of
    `templates` photos of `people` people with equally many; 0.01 where there are too few for any."""
    pairs = templates * (templates - templates / people) / 2
    return next((fmr for fmr in (1e-6, 1e-5, 1e-4, 1e-3) if fmr * pairs >= LEAST_ACCEPTED), FMR)


def measure_separation(
    templates: NDArray[Any], identity: Integers, *, seed: int = 0, fmr: float = FMR
) -> Separation:
    """Compare the templates (g, d), float, of photos of people: identity int64 (g,).

    At most MOST_PEOPLE people, those with two photos first, and MOST_PHOTOS of each, chosen by the seed, so
    that time is bounded. Equal templates of one person count once: they are one photo. Raises ValueError
    unless there are two people.
    """
    rows = chosen_photos(identity, MOST_PEOPLE, MOST_PHOTOS, seed)
    templates, identity = _without_repeats(templates[rows], identity[rows])
    people, identity = np.unique(identity, return_inverse=True)
    if len(people) < 2:
        raise ValueError("a recogniser is measured on photos of two people or more")
    mean, deviation = _non_mated(Templates.of(templates).exact, identity)
    return Separation(len(templates), len(people), mean, deviation, _mated_rate(templates, identity, fmr))


def chosen_photos(identity: Integers, people: int, photos: int, seed: int = 0) -> Integers:
    """Rows, rising, of at most `photos` photos of at most `people` people, those with two photos first."""
    random = np.random.default_rng(seed)
    order = random.permutation(len(identity))
    names, own, counts = np.unique(identity, return_inverse=True, return_counts=True)
    preferred = np.lexsort((random.random(len(names)), counts < 2))[:people]
    order = order[np.isin(own[order], preferred)]
    by_person = order[np.argsort(own[order], kind="stable")]
    _, first, size = np.unique(own[by_person], return_index=True, return_counts=True)
    rank = np.arange(len(by_person)) - np.repeat(first, size)
    return np.sort(by_person[rank < photos]).astype(np.int64)


def _without_repeats(templates: NDArray[Any], identity: Integers) -> tuple[NDArray[Any], Integers]:
    keyed = np.column_stack([identity.astype(np.float64), templates.astype(np.float64)])
    kept = np.sort(np.unique(keyed, axis=0, return_index=True)[1])
    return templates[kept], identity[kept]


def _non_mated(unit: Floats, identity: Integers) -> tuple[float, float]:
    """Mean and standard deviation of the cosines of all pairs of photos of two people."""
    cosines = unit @ unit.T
    different = cosines[identity[:, None] < identity[None, :]]
    return float(different.mean()), float(different.std())


def _mated_rate(templates: NDArray[Any], identity: Integers, fmr: float) -> MatedRate | None:
    if (np.bincount(identity) > 1).sum() < 2:
        return None
    threshold = operating_threshold(templates, identity, fmr).threshold
    rates = match_rates(templates, identity, threshold)
    low, high = clopper_pearson(rates.tmr, rates.people)
    mean = _mated_mean(Templates.of(templates).exact, identity)
    return MatedRate(rates.people, fmr, threshold, rates.tmr, low, high, mean)


def clopper_pearson(rate: float, people: int) -> tuple[float, float]:
    """Clopper and Pearson 1934, as if each person's share were yes or no: no shares spread more."""
    hits, tail = rate * people, (1 - CONFIDENCE) / 2
    low = float(beta.ppf(tail, hits, people - hits + 1)) if hits > 0 else 0.0
    high = float(beta.ppf(1 - tail, hits + 1, people - hits)) if hits < people else 1.0
    return low, high


def _mated_mean(unit: Floats, identity: Integers) -> float:
    """The mean over people of the mean cosine of their pairs: of n unit vectors with the sum s it is
    (s·s - n) / (n (n - 1))."""
    counts = np.bincount(identity)
    sums = np.zeros((len(counts), unit.shape[1]))
    np.add.at(sums, identity, unit)
    several = counts > 1
    n = counts[several]
    return float((((sums[several] ** 2).sum(axis=1) - n) / (n * (n - 1))).mean())
