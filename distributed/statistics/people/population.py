"""How many distinct people a generator makes, and whom it makes most often, from its samples alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta, binomtest, gamma

from distributed.statistics.similarity import (
    Floats,
    Integers,
    Pairs,
    Singles,
    Templates,
    canonical,
    guard_band,
)

# A block of products is at most 32 MB.
ROWS_AT_ONCE = 1024
COLUMNS_AT_ONCE = 8192
# How false matches cluster is seen in the most similar non-mated pairs, for above the threshold are few.
LEAST_FALSE_PAIRS = 32
LARGEST_TRIED = 1024
# Quantiles of the collision rate, the FMR and the TMR that are combined.
GRID = (400, 64, 16)
SMALLEST_BETA = 0.2
# Half way from Jeffreys' interval of a Poisson mean (1/2, 1/2), which covers 92 % at some means, to Garwood's
# (0, 1), which covers 97 % of most small ones: at least 94 % for means of 0.5 to 60.
ADDED = (0.25, 0.75)


@dataclass(frozen=True)
class MatchRates:
    """How often templates of different people, and of one person, match: similarity >= threshold.

    fmr: (k + c) / N for k matches among N non-mated pairs, in clusters of mean size c: what one expects
    of a threshold just above N exchangeable pairs. fmr_comparisons: N / c, the effective number. tmr: the
    mean over people of the share of mated pairs that match. tmr_comparisons: the effective number.
    tmr_spread: the variance of the TMR from person to person. people: how many have mated pairs.
    """

    threshold: float
    fmr: float
    fmr_comparisons: float
    tmr: float
    tmr_comparisons: float
    tmr_spread: float
    people: int


@dataclass(frozen=True)
class IdentityCount:
    """The effective number of identities 1 / Σ p², at least 1, with its interval.

    Equal to the number of identities if all are equally likely, less if not. estimate and high are math.inf
    where the samples cannot bound it. collisions: pairs of samples that match. dispersion: the variance of
    their number as a multiple of Poisson's.
    """

    estimate: float
    low: float
    high: float
    samples: int
    collisions: int
    dispersion: float


@dataclass(frozen=True)
class Cluster:
    """Samples that match the one named sample_id, itself among them. share, low, high: of all samples."""

    sample_id: int
    share: float
    low: float
    high: float
    members: int


@dataclass(frozen=True)
class _Cohort:
    """What the cohort's photos show.

    mated, different: pairs of photos of one person and the most similar ones of two people, falling.
    comparisons: how many pairs of photos of two people there are. identity: int64 (g,), from 0.
    """

    identity: Integers
    mated: Pairs
    different: Pairs
    comparisons: int


def match_rates(templates: NDArray[Any], identity: Integers, threshold: float | None = None) -> MatchRates:
    """The rates at which photos of different cohort people, and of the same one, match.

    templates: (g, d), float; identity: int64 (g,). Without a threshold it lies just above all non-mated
    pairs, or above all but a few (1, 3, 7, ... up to LARGEST_TRIED - 1) where that counts further: where the
    TMR over the upper 97.5 % limit of the FMR is larger, since more identities than that cannot be told from
    chance. So one person under two names does not spoil the threshold. Memory is O(mated pairs + false
    matches + block). Raises ValueError unless two people have two photos each and the threshold is a number.
    """
    _check(templates, identity)
    if threshold is not None and np.isnan(threshold):
        raise ValueError("the threshold must be a number")
    cohort = _cohort(Templates.of(templates), identity, np.inf if threshold is None else threshold)
    if threshold is not None:
        return _rates(cohort, threshold)
    ends = [2**j for j in range(LARGEST_TRIED.bit_length()) if 2**j <= len(cohort.different)]
    tried = [float(np.nextafter(cohort.different.similarity[end - 1], np.float32(np.inf))) for end in ends]
    return max((_rates(cohort, similarity) for similarity in tried), key=_reach)


def _check(templates: NDArray[Any], identity: Integers) -> None:
    if templates.ndim != 2 or identity.shape != templates.shape[:1]:
        raise ValueError(f"templates {templates.shape} must be (g, d), with an identity each")
    if (np.unique(identity, return_counts=True)[1] > 1).sum() < 2:
        raise ValueError("match rates need at least two people with two photos each")


def _reach(rates: MatchRates) -> float:
    upper = float(gamma.ppf(0.975, rates.fmr * rates.fmr_comparisons) / rates.fmr_comparisons)
    return rates.tmr / upper


def _cohort(templates: Templates, identity: Integers, threshold: float) -> _Cohort:
    _, own, photos = np.unique(identity, return_inverse=True, return_counts=True)
    g = len(own)
    comparisons = int(g * (g - 1) // 2 - (photos * (photos - 1) // 2).sum())
    mated = _mated_pairs(own)
    mated = Pairs(mated.left, mated.right, canonical(templates, templates, mated))
    different = _most_similar_different(templates, own, threshold)
    return _Cohort(own.astype(np.int64), mated, different, comparisons)


def _mated_pairs(own: Integers) -> Pairs:
    order = np.argsort(own, kind="stable")
    parts = [Pairs.none()]
    for step in range(1, len(own)):
        first = np.flatnonzero(own[order[:-step]] == own[order[step:]])
        if not len(first):
            break
        parts.append(Pairs(order[first], order[first + step], np.zeros(len(first), np.float32)))
    return Pairs.joined(parts)


def _most_similar_different(templates: Templates, own: Integers, threshold: float) -> Pairs:
    """The LARGEST_TRIED most similar pairs of different people and all at or above threshold, falling."""
    band, floor, parts = guard_band(templates.exact.shape[1]), -np.inf, [Pairs.none()]
    for rows, columns, products in _blocks(templates):
        products[own[rows, None] == own[None, columns]] = -np.inf
        if products.size > LARGEST_TRIED:
            nth = float(np.partition(products, -LARGEST_TRIED, axis=None)[-LARGEST_TRIED])
            floor = max(floor, nth - 2 * band)
        left, right = np.nonzero((products >= float(min(floor, threshold - band))) & (products > -np.inf))
        parts.append(Pairs(left + rows.start, right + columns.start, products[left, right]))
    kept = Pairs.joined(parts)
    kept = Pairs(kept.left, kept.right, canonical(templates, templates, kept))
    kept = kept[np.lexsort((kept.right, kept.left, -kept.similarity))]
    rank = np.arange(len(kept))
    return kept[(rank < LARGEST_TRIED) | (kept.similarity.astype(np.float64) >= threshold)]


def _rates(cohort: _Cohort, threshold: float) -> MatchRates:
    k = int((cohort.different.similarity.astype(np.float64) >= threshold).sum())
    clustered = _cluster_size(cohort, max(k, LEAST_FALSE_PAIRS))
    comparisons = cohort.comparisons / clustered
    tmr, effective, spread, people = _true_matches(cohort, threshold)
    return MatchRates(
        threshold, (k / clustered + 1) / comparisons, comparisons, tmr, effective, spread, people
    )


def _cluster_size(cohort: _Cohort, count: int) -> float:
    """The dispersion of the number of false matches: photos of two people, or many of one, match together."""
    pairs = cohort.different[np.arange(min(count, len(cohort.different)))]
    people = int(cohort.identity.max()) + 1
    a, b = cohort.identity[pairs.left], cohort.identity[pairs.right]
    _, matches = np.unique(np.minimum(a, b) * people + np.maximum(a, b), return_counts=True)
    per_person = np.bincount(np.concatenate([a, b]), minlength=people)
    return _dispersion(per_person, float((matches**2).sum()))


def _true_matches(cohort: _Cohort, threshold: float) -> tuple[float, float, float, int]:
    """The TMR, its effective number of comparisons, its variance from person to person, and the people."""
    matched = cohort.mated[cohort.mated.similarity.astype(np.float64) >= threshold]
    g, people = len(cohort.identity), int(cohort.identity.max()) + 1
    photos: Integers = np.bincount(cohort.identity).astype(np.int64)
    pairs: Floats = photos * (photos - 1.0) / 2
    matches: Floats = np.bincount(cohort.identity[matched.left], minlength=people).astype(np.float64)
    per_photo = np.bincount(matched.left, minlength=g) + np.bincount(matched.right, minlength=g)
    sharing: Floats = np.bincount(cohort.identity, weights=per_photo * (per_photo - 1.0)).astype(np.float64)
    shares = matches[pairs > 0] / pairs[pairs > 0]
    tmr, variance = float(shares.mean()), float(shares.var(ddof=1)) / len(shares)
    effective = min(tmr * (1 - tmr) / variance, float(pairs.sum())) if variance > 0 else float(len(shares))
    return tmr, effective, _spread(photos, pairs, matches, sharing, shares), len(shares)


def _spread(photos: Integers, pairs: Floats, matches: Floats, sharing: Floats, shares: Floats) -> float:
    """The variance of people's own TMR: the covariance of matches of one person that share no photo.

    With fewer than two people of four photos there are none; then the variance of the shares, an upper bound.
    """
    four = photos >= 4
    if four.sum() < 2:
        return float(shares.var(ddof=1))
    disjoint = matches[four] ** 2 - matches[four] - sharing[four]
    possible = pairs[four] * (photos[four] - 2) * (photos[four] - 3) / 2
    own = matches[four] / pairs[four]
    return max(0.0, float((disjoint / possible).mean() - own.mean() ** 2))


def _dispersion(per_unit: Integers, squares: float) -> float:
    """Var C over the mean of C, at least 1, for C the sum over pairs of units of a count.

    per_unit: (n,), each unit's sum over its pairs; squares: the sum over pairs of the squared count. The
    variance of a U-statistic (Hoeffding 1948, Ann. Math. Statist. 19(3), section 5), estimated without bias:
    C² less the products of pairs without a common unit, scaled to as many products as C² has.
    """
    n, sums = len(per_unit), per_unit.astype(np.float64)
    total = sums.sum() / 2
    if total == 0 or n < 4:
        return 1.0
    disjoint = total**2 - ((sums**2).sum() - squares)
    variance = total**2 - disjoint * n * (n - 1) / ((n - 2) * (n - 3))
    return float(max(1.0, squares / total, variance / total))


def count_identities(templates: NDArray[Any], rates: MatchRates, confidence: float = 0.95) -> IdentityCount:
    """The effective number of identities among the samples' templates (n, d), float: see `identities_of`."""
    return identities_of(match_counts(templates, rates.threshold), rates, confidence)


def match_counts(templates: NDArray[Any], threshold: float) -> Integers:
    """How many other templates each one matches: canonical similarity >= threshold, int64 (n,).

    templates: (n, d), float. Memory is O(n × d + block). Raises ValueError if the threshold is NaN.
    """
    if np.isnan(threshold):
        raise ValueError("the threshold must be a number")
    exact = Templates.of(templates)
    counts = np.zeros(len(exact), dtype=np.int64)
    for rows, columns, products in _blocks(exact):
        matches = _matches(exact[rows], exact[columns], products, threshold)
        counts[rows] += np.count_nonzero(matches, axis=1)
        counts[columns] += np.count_nonzero(matches, axis=0)
    return counts


def _blocks(templates: Templates) -> Iterator[tuple[slice, slice, Singles]]:
    """Products of all pairs of different rows, each pair once: the rest is -inf."""
    n = len(templates)
    for top in range(0, n, ROWS_AT_ONCE):
        rows = slice(top, min(top + ROWS_AT_ONCE, n))
        for first in range(top, n, COLUMNS_AT_ONCE):
            columns = slice(first, min(first + COLUMNS_AT_ONCE, n))
            products: Singles = templates.rounded[rows] @ templates.rounded[columns].T
            if first < rows.stop:
                seen = np.arange(columns.start, columns.stop) <= np.arange(top, rows.stop)[:, None]
                products[seen] = -np.inf
            yield rows, columns, products


def _matches(left: Templates, right: Templates, products: Singles, threshold: float) -> NDArray[np.bool_]:
    """Which canonical similarities are >= threshold; those of products in the guard band are computed."""
    band = guard_band(left.exact.shape[1])
    matches: NDArray[np.bool_] = products >= float(threshold - band)
    if matches.any():
        row, column = np.nonzero(matches & (products < float(threshold + band)))
        similarity = canonical(left, right, Pairs(row, column, products[row, column]))
        matches[row, column] = similarity.astype(np.float64) >= threshold
    return matches


def identities_of(counts: Integers, rates: MatchRates, confidence: float = 0.95) -> IdentityCount:
    """The effective number of identities 1 / Σ p² from each sample's number of matches, int64 (n,).

    The share of colliding pairs is TMR × Σ p² + FMR × (1 − Σ p²) (birthday paradox: Arora and Zhang 2017,
    arXiv 1706.08224; correction: Rogan and Gladen 1978, Am. J. Epidemiol. 107(1)). The interval takes
    quantiles of Σ p² where the collision rate, the FMR and the TMR have their confidence distributions: two
    gammas and a beta, each by effective numbers (of collisions: C over its dispersion, and ADDED). The more
    of the collisions are a few people's, the more of the TMR's spread over people is added. It ignores that
    samples of one person may differ more or less than photos of one do. Raises ValueError with fewer than
    four samples, or a confidence outside 0 to 1.
    """
    n, collisions = len(counts), int(counts.sum()) // 2
    if n < 4 or not 0 < confidence < 1:
        raise ValueError(f"needs four samples and a confidence between 0 and 1, not {n} and {confidence}")
    pairs = n * (n - 1) / 2
    dispersion = _dispersion(counts, collisions)
    simpson = _simpson(collisions / pairs, rates.fmr, rates.tmr)
    shapes = _tmr_shapes(counts, simpson, rates)
    low, high = _interval(collisions, dispersion, pairs, rates, shapes, confidence)
    return IdentityCount(_number(simpson), low, high, n, collisions, dispersion)


def _simpson(rate: Any, fmr: Any, tmr: Any) -> Any:
    """Σ p², at most 1; negative where false matches alone would collide more; 0 where TMR <= FMR."""
    power = np.maximum(tmr - fmr, 0.0)
    return np.where(power > 0, np.minimum((rate - fmr) / np.where(power > 0, power, 1.0), 1.0), 0.0)


def _number(simpson: float) -> float:
    return 1 / float(simpson) if simpson > 0 else float("inf")


def _tmr_shapes(counts: Integers, simpson: float, rates: MatchRates) -> tuple[float, float]:
    """The TMR's beta distribution for people who weigh p²: their effective number is (Σ p²)² / Σ p⁴.

    By its moments: Jeffreys' for the effective comparisons, with the spread over so many people added.
    """
    total = rates.tmr_comparisons + 1
    mean = (rates.tmr * rates.tmr_comparisons + 0.5) / total
    variance = mean * (1 - mean) / (total + 1)
    if simpson > 0:
        sums, n = counts.astype(np.float64), float(len(counts))
        fourth = (sums * (sums - 1) * (sums - 2)).sum() / (n * (n - 1) * (n - 2) * (n - 3)) / rates.tmr**3
        variance += min(1.0, max(0.0, float(fourth / simpson**2))) * rates.tmr_spread
    size = max(mean * (1 - mean) / variance - 1, SMALLEST_BETA)
    return mean * size, (1 - mean) * size


def _interval(
    collisions: int,
    dispersion: float,
    pairs: float,
    rates: MatchRates,
    shapes: tuple[float, float],
    confidence: float,
) -> tuple[float, float]:
    """Both limits of the number of identities. Without collisions the upper one is infinite.

    With fewer collisions than even the FMR explains, the FMR does not fit: the lower limit goes without it.
    """
    if rates.tmr <= rates.fmr:
        return 1.0, float("inf")
    levels = [(np.arange(size) + 0.5) / size for size in GRID]
    fmr = gamma.ppf(levels[1], rates.fmr * rates.fmr_comparisons) / rates.fmr_comparisons
    tmr = beta.ppf(levels[2], *shapes)
    tail, upper = (1 - confidence) / 2, ADDED[1] if collisions else 1.0

    def quantile(added: float, fmr: Floats, level: float) -> float:
        rate = gamma.ppf(levels[0], collisions / dispersion + added) * dispersion / pairs
        return float(
            np.quantile(_simpson(rate[:, None, None], fmr[None, :, None], tmr[None, None, :]), level)
        )

    largest = quantile(upper, fmr, 1 - tail)
    if largest <= 0:
        largest = quantile(upper, np.zeros(1), 1 - tail)
    return _number(largest), _number(quantile(ADDED[0], fmr, tail)) if collisions else float("inf")


def densest_clusters(
    templates: NDArray[Any], sample_id: Integers, threshold: float, count: int = 10
) -> list[Cluster]:
    """The likely most frequent people: the sample that matches most others, with them, again and again.

    templates: (n, d), float; sample_id: int64 (n,), distinct. Each cluster takes its members away; ties go to
    the smaller sample id; a sample that matches no other is no cluster. The share's interval is Clopper and
    Pearson's for `members` of n draws: it ignores that the centre was chosen for its many matches, that
    a person's samples may not all match it, and that others may. Raises ValueError if an argument is not
    as said.
    """
    if templates.ndim != 2 or sample_id.shape != templates.shape[:1] or count < 0:
        raise ValueError(f"templates {templates.shape} must be (n, d), with a sample id each, and count >= 0")
    order = np.argsort(sample_id, kind="stable")
    counts = match_counts(templates[order], threshold)
    remaining, ids = Templates.of(templates[order]), sample_id[order]
    clusters: list[Cluster] = []
    while len(clusters) < count and len(ids) and counts.max() > 0:
        centre = int(np.argmax(counts))
        inside = _matches_of(remaining, np.array([centre]), threshold) > 0
        inside[centre] = True
        members, n = int(inside.sum()), len(sample_id)
        interval = binomtest(members, n).proportion_ci(0.95, "exact")
        clusters.append(Cluster(int(ids[centre]), members / n, interval.low, interval.high, members))
        counts = (counts - _matches_of(remaining, np.flatnonzero(inside), threshold))[~inside]
        remaining, ids = remaining[~inside], ids[~inside]
    return clusters


def _matches_of(templates: Templates, chosen: Integers, threshold: float) -> Integers:
    """How many of the chosen rows each template matches, int64 (n,); a chosen one may match itself."""
    n, counts = len(templates), np.zeros(len(templates), dtype=np.int64)
    for start in range(0, len(chosen), ROWS_AT_ONCE):
        rows = templates[chosen[start : start + ROWS_AT_ONCE]]
        for first in range(0, n, COLUMNS_AT_ONCE):
            columns = slice(first, first + COLUMNS_AT_ONCE)
            products: Singles = rows.rounded @ templates.rounded[columns].T
            counts[columns] += np.count_nonzero(
                _matches(rows, templates[columns], products, threshold), axis=0
            )
    return counts
