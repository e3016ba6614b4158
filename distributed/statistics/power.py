"""How often a person must appear among the samples for an audit to notice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil, floor, log10

import numpy as np
from scipy.optimize import brentq

from distributed.statistics.similarity import Floats, Integers, Singles

SHARES = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2)
POWERS = (0.5, 0.8, 0.95)
LEAST_PEOPLE = 20
"""With two photos: the mean over fewer is known to no better than 0.5/√20, about 0.1."""
DETECTION_POWER = 0.5
"""Of an audit that says `not detected`, at the share that it names."""
LARGEST_SHARE = 0.01
"""That it may name: who is in one sample of a hundred is seen by looking at a few hundred."""


@dataclass(frozen=True)
class Power:
    """The chance that a person in a share of the samples is flagged, as a mean over people.

    samples: how many are compared. match_rates: float64 (k,), for each of k > 0 people the chance that a
    sample that shows the person is similar enough to flag the person.
    """

    samples: int
    match_rates: Floats

    def at(self, share: float) -> float:
        """The mean over people k of 1 − (1 − share · r_k)^samples: at least one sample shows and matches k.

        Not the power at the mean of r_k, which is larger (Jensen): some people's photos match less often.
        """
        with np.errstate(divide="ignore"):
            missed = self.samples * np.log1p(-share * self.match_rates)
        return float(-np.expm1(missed).mean()) + 0.0  # No minus before a zero.

    def smallest_share(self, power: float) -> float | None:
        """The share of the samples at which the chance is `power`; None if it is not reached at 1."""
        if self.at(1.0) < power:
            return None
        # A share below power/samples is too small even if every sample that shows a person matches.
        least = log10(power / self.samples) - 1
        return float(10 ** brentq(lambda exponent: self.at(10**exponent) - power, least, 0.0, xtol=1e-12))


def per_million(share: float) -> str:
    """A share as so many of a million, three digits, rounded up: of so many, what is said is true."""
    digits = 2 - floor(log10(share * 1e6))
    scaled = ceil(round(share * 1e6 * 10**digits, 6)) / 10**digits
    return f"{scaled:,.0f}" if scaled >= 100 else f"{scaled:.3g}"


def silence_text(share: float) -> str:
    """What `not detected` says, with the share that it names."""
    return (
        f"had this person been in {per_million(share)} or more of a million compared samples, the estimated "
        f"chance to flag them was {DETECTION_POWER:g} or more, by the score max and if samples resemble "
        "people as their photos do"
    )


def flagging_similarity(cohort: Floats, p_value: float) -> float | None:
    """The score that a candidate must exceed for a p-value of at most p_value, given the cohort's (n,).

    None if the cohort is too small for that: its floor 1/(n + 1) is above p_value.
    """
    allowed = int(np.floor(p_value * (len(cohort) + 1) + 1e-9)) - 1
    if allowed < 0:
        return None
    return float(np.sort(cohort)[::-1][allowed]) if allowed < len(cohort) else -np.inf


@dataclass(frozen=True)
class MatedSimilarity:
    """How similar photos are to other photos of the same person, each photo left out in turn.

    similarity: float64 (q,), of a photo to the mean template of at most a fixed number of the person's
    others; person: int64 (q,), from 0. Only people with two photos are among them.
    """

    similarity: Floats
    person: Integers

    @property
    def people(self) -> int:
        return int(self.person.max(initial=-1)) + 1

    def match_rates(self, needed: float) -> Floats:
        """For each person the share of photos whose similarity exceeds `needed`, float64 (people,).

        If a sample resembles a person as another photo does, this is the chance that it alone gives the
        person a `max` above `needed`, or more: the score takes the largest similarity over all samples. With
        few photos the rates are rough, by which `Power.at`, concave in each, comes out too small on average.
        """
        counts: Floats = np.bincount(self.person, minlength=self.people).astype(np.float64)
        return np.bincount(self.person, weights=self.similarity > needed, minlength=self.people) / counts


def mated_similarity(
    templates: Singles, identity: Integers, rank: Integers, photos: int, people: Integers
) -> MatedSimilarity:
    """Of each of `people` with two photos or more. templates: (g, d); identity, rank: int64 (g,).

    A photo is compared with the first `photos` of the person's others, by rank, or with all if there are
    fewer: one fewer where a person has just `photos`.
    """
    order = np.lexsort((rank, identity))
    starts, stops = (np.searchsorted(identity[order], people, side=side) for side in ("left", "right"))
    similarities = [
        np.array(list(_left_out(templates[order[start:stop]], photos)))
        for start, stop in zip(starts, stops, strict=True)
        if stop - start > 1
    ]
    person = np.repeat(np.arange(len(similarities)), [len(values) for values in similarities])
    return MatedSimilarity(np.concatenate([np.empty(0), *similarities]), person.astype(np.int64))


def _left_out(templates: Singles, photos: int) -> Iterator[float]:
    rows = templates.astype(np.float64)
    for place in range(len(rows)):
        mean = np.delete(rows, place, axis=0)[:photos].mean(axis=0)
        length = float(np.linalg.norm(mean))
        yield float(rows[place] @ mean) / length if length > 0 else 0.0
