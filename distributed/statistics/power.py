"""How often a person must appear among the samples for an audit to notice."""

from __future__ import annotations

from dataclasses import dataclass
from math import log10

import numpy as np
from scipy.optimize import brentq
from scipy.stats import beta, binom

from distributed.statistics.similarity import Floats

SHARES = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2)
POWERS = (0.5, 0.8, 0.95)
STEPS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64)
"""Numbers of samples of a person after which it is asked whether the person is flagged."""
LEAST_PEOPLE = 20
"""With two photos: the mean over fewer is known to no better than 0.5/√20, about 0.1."""
DETECTION_POWER = 0.95
"""Of an audit that says `not detected`, at the share that it names."""
CONFIDENCE = 0.95


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
