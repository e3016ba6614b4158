"""At most how often a person is among the samples: an upper limit of hits over a lower limit of matches."""

from __future__ import annotations

import numpy as np
from scipy.stats import beta, binom

from distributed.statistics.similarity import Floats, Integers


def upper_limits(hits: Integers, samples: int, error: float) -> Floats:
    """Clopper and Pearson's upper limits of the rates, one-sided: each is too small with a chance of at most
    `error`. hits: int64, counts of `samples`. Raises ValueError for a count that is none."""
    if samples < 1 or (hits < 0).any() or (hits > samples).any():
        raise ValueError(f"hits must be counts between 0 and {samples}")
    inner: Floats = beta.ppf(1 - error, hits + 1, np.maximum(samples - hits, 1))
    return np.where(hits < samples, inner, 1.0)


def tolerance_limit(rates: Floats, share: float, error: float) -> float | None:
    """A rate that at least `share` of people have or exceed, by those of n of them, (n,).

    It is too large with a chance of at most `error`: an order statistic, whatever the rates' distribution
    (Wilks 1941, Ann. Math. Statist. 12(1)). None if n is too small for that.
    """
    n = len(rates)
    ranks = np.arange(1, n + 1)
    good = np.flatnonzero(binom.sf(ranks - 1, n, 1 - share) >= 1 - error)
    return float(np.sort(rates)[good[-1]]) if len(good) else None


def people_needed(share: float, error: float) -> int:
    """The fewest people for whom `tolerance_limit` is known."""
    return int(np.ceil(np.log(error) / np.log(share)))


def samples_to_rule_out(people: int, share: float, error: float) -> int:
    """The fewest samples that bound the rates of all people by `share`, if nobody has a hit and each sample
    that shows them were one."""
    each = np.log(2 * people / error)
    return int(np.ceil(round(float(each / -np.log1p(-share)), 9))) if share < 1 else 1
