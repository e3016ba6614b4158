"""The Jonckheere-Terpstra test: do values rise from group to group?"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import combinations

import numpy as np


def jonckheere_terpstra(groups: Sequence[Sequence[float]]) -> tuple[float, float]:
    """The statistic and the exact one-sided p-value that values rise in the order of the groups.

    J counts the pairs of an earlier and a later group whose later value is larger, a tie as one half
    (Jonckheere 1954, Biometrika 41; Terpstra 1952). Where all values are different, J is a sum of independent
    Mann-Whitney counts of each group against all earlier ones, whose distribution is a product of Gaussian
    binomial coefficients. With ties the p-value of the next smaller whole J is given, which is too large.
    """
    statistic = 0.0
    for earlier, later in combinations(groups, 2):
        larger = np.array(later)[:, None] - np.array(earlier)
        statistic += float((larger > 0).sum() + 0.5 * (larger == 0).sum())
    chances = [1]
    for place in range(1, len(groups)):
        before = sum(len(group) for group in groups[:place])
        chances = _times(chances, mann_whitney_counts(before, len(groups[place])))
    above = sum(chances[int(statistic) :])
    return statistic, float(Fraction(above, sum(chances)))


def mann_whitney_counts(m: int, n: int) -> list[int]:
    """In how many of the orders of m and n values the second ones win 0, 1, … mn pairs."""
    counts = [1] + [0] * (m * n)
    for i in range(1, n + 1):  # the Gaussian binomial coefficient: ∏ (1 − q^(m+i)) / (1 − q^i)
        for power in range(m * n, m + i - 1, -1):
            counts[power] -= counts[power - m - i]
        for power in range(i, m * n + 1):
            counts[power] += counts[power - i]
    return counts


def _times(a: Sequence[int], b: Sequence[int]) -> list[int]:
    product = [0] * (len(a) + len(b) - 1)
    for i, left in enumerate(a):
        for j, right in enumerate(b):
            product[i + j] += left * right
    return product
