"""One p-value for a whole set of people: was the set, or some of it, in the training data?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import rankdata

from distributed.statistics.similarity import Floats

# Sums of the same terms in another order differ by about this share; they count as equal, which is the
# conservative side.
SUM_TOLERANCE = 1e-9


def set_p_value(
    candidates: Sequence[Floats], cohorts: Sequence[Floats], *, seed: int, permutations: int = 9999
) -> float:
    """The permutation p-value of all candidates together; one array of each side per calibration group.

    The question is set membership, Hilprecht et al. 2019, PoPETs 2019(4), sec. 3. Scores are only compared
    within a group. There, a candidate's rank is the number of the group's N pooled scores that are at least
    as large, so ties get the larger one. The statistic is the sum over all candidates of −log(rank/N), as
    Fisher's, which a few strong members move. p = (1 + #{permuted >= observed})/(permutations + 1), with
    labels permuted within groups: Phipson and Smyth 2010, Stat. Appl. Genet. Mol. Biol. 9(1).

    P(p <= t) <= t holds for any cohort size, also with ties, if without any member the candidates and the
    cohort of each group are exchangeable. A small p-value says that some candidates are members, or near to
    one; not who, nor how many. No p-value is below 1/(permutations + 1). The order of rows and of groups does
    not matter, and the same seed gives the same p-value.
    Raises ValueError if there is no group, a side of one is empty, a score is NaN, or permutations < 1.
    """
    return set_p_values([(candidates, cohorts)], seed=seed, permutations=permutations)[0]


def set_p_values(
    scores: Sequence[tuple[Sequence[Floats], Sequence[Floats]]], *, seed: int, permutations: int = 9999
) -> list[float]:
    """`set_p_value` of several scores of the same people, each (candidates, cohorts).

    Each by itself would draw the same people, so they are drawn once.
    """
    if permutations < 1:
        raise ValueError(f"a permutation test needs permutations, not {permutations}")
    ordered = [_ordered(_groups(*sides), [len(side) for side in sides[0]]) for sides in scores]
    shapes = [tuple((len(terms), size) for size, terms in groups) for groups in ordered]
    permuted: dict[int, Floats] = {}
    for shape in dict.fromkeys(shapes):
        places = [place for place, other in enumerate(shapes) if other == shape]
        random = np.random.default_rng(seed)
        totals = _permuted([ordered[place] for place in places], random, permutations)
        permuted |= dict(zip(places, totals, strict=True))
    return [_p_value(*sides, permuted[place]) for place, sides in enumerate(scores)]


def _p_value(candidates: Sequence[Floats], cohorts: Sequence[Floats], permuted: Floats) -> float:
    groups = _groups(candidates, cohorts)
    observed = sum(float(terms[: len(side)].sum()) for terms, side in zip(groups, candidates, strict=True))
    reached = int((permuted >= observed - SUM_TOLERANCE * max(1.0, observed)).sum())
    return (1 + reached) / (len(permuted) + 1)


def _groups(candidates: Sequence[Floats], cohorts: Sequence[Floats]) -> list[Floats]:
    """Each group's terms −log(rank/N), float64 (N,), candidates first."""
    if not candidates or len(candidates) != len(cohorts):
        raise ValueError(f"{len(candidates)} groups of candidates need as many cohorts, not {len(cohorts)}")
    return [_terms(side, cohort) for side, cohort in zip(candidates, cohorts, strict=True)]


def _terms(candidates: Floats, cohort: Floats) -> Floats:
    if not len(candidates) or not len(cohort):
        raise ValueError("a group needs candidates and a cohort")
    pooled = np.concatenate([candidates, cohort])
    if np.isnan(pooled).any():
        raise ValueError("a score is not a number")
    terms: Floats = -np.log(rankdata(-pooled, method="max") / len(pooled))
    return terms


def _ordered(groups: list[Floats], sizes: list[int]) -> list[tuple[int, Floats]]:
    """The number of candidates and the terms of each group, sorted, so that no input order matters."""
    ordered = [(size, np.sort(terms)) for terms, size in zip(groups, sizes, strict=True)]
    return sorted(ordered, key=lambda group: (group[0], group[1].tobytes()))


def _permuted(
    scores: list[list[tuple[int, Floats]]], random: np.random.Generator, permutations: int
) -> Floats:
    """The statistic of each score under random labels, the same for all, float64 (scores, permutations).

    The smaller side of a group is drawn, and the other one's sum follows from that of all.
    """
    total = np.zeros((len(scores), permutations))
    for groups in zip(*scores, strict=True):
        size, count = groups[0][0], len(groups[0][1])
        drawn = min(size, count - size)
        everybody = [float(terms.sum()) for _, terms in groups]
        for j in range(permutations):
            chosen = random.choice(count, drawn, replace=False, shuffle=False)
            for score, (_, terms) in enumerate(groups):
                sampled = float(terms[chosen].sum())
                total[score, j] += sampled if drawn == size else everybody[score] - sampled
    return total
