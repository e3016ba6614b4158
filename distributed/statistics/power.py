"""How often a person must appear among the samples for an audit to notice, and at most how often they do: an
upper limit of hits over a lower limit of matches."""

from __future__ import annotations

from dataclasses import dataclass
from math import log10

import numpy as np
from scipy.optimize import brentq
from scipy.stats import beta, binom

from distributed.statistics.similarity import Floats, Integers

SHARES = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2)
POWERS = (0.5, 0.8, 0.95)
STEPS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64)
"""Numbers of samples of a person after which it is asked whether the person is flagged."""
LEAST_PEOPLE = 20
"""With two photos: the mean over fewer is known to no better than 0.5/√20, about 0.1."""
DETECTION_POWER = 0.95
"""Of an audit that says `not detected`, at the share that it names."""
CONFIDENCE = 0.95
MOST = 0.95
"""Of people like the cohort's."""


@dataclass(frozen=True)
class ForMost:
    """The smallest share at which MOST of the people are each found with a chance, and its 95 % interval;
    None: no share is large enough."""

    low: float | None
    share: float | None
    high: float | None


@dataclass(frozen=True)
class Power:
    """The chance that a person in a share of the samples is flagged, as a mean over people.

    samples: how many are compared. first: float64 (k, STEPS), for each of k > 0 people the chance that
    STEPS[s] samples that show them are enough to flag them, and fewer are not; less than 1 in all, if
    STEPS[-1] may not be enough.
    """

    samples: int
    first: Floats

    @classmethod
    def by_one(cls, samples: int, chance: float) -> Power:
        """Of an audit that flags by one sample that shows a person, or not at all."""
        first = np.zeros((1, len(STEPS)))
        first[0, 0] = chance
        return cls(samples, first)

    def at(self, share: float) -> float:
        """The mean over people of the chance that a binomial number of samples is enough."""
        return float(self._enough(share) @ self.first.mean(axis=0))

    def _enough(self, share: float) -> Floats:
        """The chance that STEPS[s] of the samples or more show the person, (STEPS,)."""
        enough: Floats = binom.sf(np.array(STEPS) - 1, self.samples, share)
        return enough

    def smallest_share(self, power: float) -> float | None:
        """The share of the samples at which the chance is `power`; None if it is not reached at 1."""
        if self.at(1.0) < power:
            return None
        # A share below power/samples is too small even if every sample that shows a person is enough.
        least = log10(power / self.samples) - 1
        return float(10 ** brentq(lambda exponent: self.at(10**exponent) - power, least, 0.0, xtol=1e-12))

    def interval(self, power: float) -> tuple[float | None, float | None]:
        """The 95 % interval of `smallest_share` over people; None at an end that no share reaches.

        The mean over people is taken as Clopper and Pearson's share of as many people: no means spread more.
        """
        people, tail = len(self.first), (1 - CONFIDENCE) / 2
        if tail ** (1 / people) < power:
            high = None
        else:
            of = brentq(lambda count: beta.ppf(tail, count, people - count + 1) - power, 1e-9, people)
            high = self.smallest_share(of / people)
        if 1 - tail ** (1 / people) > power:
            return 0.0, high
        of = brentq(lambda count: beta.ppf(1 - tail, count + 1, people - count) - power, 0.0, people - 1e-9)
        return self.smallest_share(of / people), high

    def person_shares(self, power: float) -> Floats:
        """For each person the smallest share at which that person's own chance is `power`, float64 (k,),
        rounded up to a hundredth of a decade; infinite for those whose chance is less at all shares."""
        grid = 10.0 ** (np.arange(-800, 1) / 100)
        enough = binom.sf(np.array(STEPS) - 1, self.samples, grid[:, None])
        reached = enough @ self.first.T >= power
        return np.where(reached.any(axis=0), grid[reached.argmax(axis=0)], np.inf)

    def for_most(self, power: float) -> ForMost:
        """The MOST quantile over people of `person_shares`, with its 95 % interval by order statistics."""
        people, shares = len(self.first), np.sort(self.person_shares(power))
        tail = (1 - CONFIDENCE) / 2
        low, high = (int(binom.ppf(level, people, MOST)) for level in (tail, 1 - tail))
        places = (max(low - 1, 0), int(np.ceil(MOST * people)) - 1, high)
        known = [shares[place] if place < people else np.inf for place in places]
        return ForMost(*(float(share) if np.isfinite(share) else None for share in known))

    def never(self) -> float:
        """The share of people who are hardly ever flagged, however often they are shown."""
        return float((self.first.sum(axis=1) < 1 - DETECTION_POWER).mean())


def flagging_score(cohort: Floats, p_value: float) -> float | None:
    """The score that a candidate must exceed for a p-value of at most p_value, given the cohort's (n,).

    None if the cohort is too small for that: its floor 1/(n + 1) is above p_value.
    """
    allowed = int(np.floor(p_value * (len(cohort) + 1) + 1e-9)) - 1
    if allowed < 0:
        return None
    return float(np.sort(cohort)[::-1][allowed]) if allowed < len(cohort) else -np.inf


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
