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
    if permutations < 1:
        raise ValueError(f"a permutation test needs permutations, not {permutations}")
    groups = _groups(candidates, cohorts)
    observed = sum(float(terms[: len(side)].sum()) for terms, side in zip(groups, candidates, strict=True))
    sizes = [len(side) for side in candidates]
    permuted = _permuted(groups, sizes, np.random.default_rng(seed), permutations)
    reached = int((permuted >= observed - SUM_TOLERANCE * max(1.0, observed)).sum())
    return (1 + reached) / (permutations + 1)


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


def _permuted(
    groups: list[Floats], sizes: list[int], generator: np.random.Generator, permutations: int
) -> Floats:
    """The statistic under random labels, float64 (permutations,). Sorted, so that no input order matters.

    The smaller side of a group is drawn, and the other one's sum follows from that of all.
    """
    ordered = [(size, np.sort(terms)) for terms, size in zip(groups, sizes, strict=True)]
    total = np.zeros(permutations)
    for size, terms in sorted(ordered, key=lambda group: (group[0], group[1].tobytes())):
        drawn, everybody = min(size, len(terms) - size), float(terms.sum())
        for j in range(permutations):
            chosen = generator.choice(len(terms), drawn, replace=False, shuffle=False)
            sampled = float(terms[chosen].sum())
            total[j] += sampled if drawn == size else everybody - sampled
    return total
