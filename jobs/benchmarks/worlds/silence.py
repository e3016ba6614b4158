"""Claims about silence: from which share on somebody is found, and what nobody exceeds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from distributed.membership.verdicts import Detectable
from distributed.statistics.power import DETECTION_POWER
from jobs.benchmarks.worlds.measures import ROOM, Bench, ClaimResult, Mean, Row, Share, draw_shares
from jobs.benchmarks.worlds.simulated import RECOGNIZER, JudgedWorld, World

PLAIN = World(0, candidates=40, cohort=800, photos=(4, 4), samples=2000)
KINDS = {
    "same quality": PLAIN,
    "mixed quality": replace(PLAIN, quality="mixed"),
    "10 % hubs, mixed quality, 2 of 4 photos": replace(PLAIN, hubs=0.1, quality="mixed"),
    "same quality, samples less like photos": replace(PLAIN, likeness=0.8),
}
LEAKED = 8
LEAKED_WORLDS = 60
CLEARED_WORLDS = 40
LIKENESSES = (0.6, 0.8, 1.0)


@dataclass(frozen=True)
class _Kind:
    name: str
    world: World

    @property
    def membership(self) -> dict[str, object]:
        photos = {"photos": 2} if "2 of 4" in self.name else {}
        return {"scores": ("margin",), "likeness": self.world.likeness, "detect": 0.1, **photos}


def sensitivity(bench: Bench) -> ClaimResult:
    """People who leak at just the share that worlds without a leak name: how many are found?"""
    rows, shares, count = [], dict[str, Share](), bench.share(LEAKED_WORLDS)
    for place, (name, world) in enumerate(KINDS.items()):
        kind = _Kind(name, world)
        named = _named(next(bench.judged(world, 1, 100 + place, **kind.membership)))
        leaky = replace(world, leaked=LEAKED, rate=named.share)
        detected = [
            _detected(judged) for judged in bench.judged(leaky, count, 110 + place, **kind.membership)
        ]
        shares[name] = share = Share(sum(detected), LEAKED * count)
        rows.append(
            Row(
                f"who is in the share of the samples that not detected names is found, {name}",
                f"at least {100 * DETECTION_POWER:.0f} % of people; lower end of the interval at least "
                f"{100 * (DETECTION_POWER - 5 * ROOM):.0f} %, as the share is an estimate",
                f"{share} of people in {1e6 * named.share:,.0f} of a million",
                count,
                share.interval[1] >= DETECTION_POWER and share.interval[0] >= DETECTION_POWER - 5 * ROOM,
            )
        )
    return ClaimResult([*rows, *_likeness_rows(bench)], lambda axes: _draw(axes, shares))


def _named(judged: JudgedWorld) -> Detectable:
    named = [decision.detectable for decision in judged.judgements[0].decisions]
    largest = max((each for each in named if each is not None), key=lambda each: each.share)
    return largest


def _detected(judged: JudgedWorld) -> int:
    """How many of the leaked have the smallest p-value, which flags one alone."""
    calibrated = judged.judgements[0].calibrated
    return int((calibrated.p_value <= calibrated.floor)[judged.leaked()].sum())


def _likeness_rows(bench: Bench) -> Iterator[Row]:
    """The likeness of samples, measured on the flagged."""
    count = bench.share(20)
    base = replace(PLAIN, cohort=400, samples=4000, leaked=15, rate=0.02)
    for place, truth in enumerate(LIKENESSES):
        worlds = bench.judged(replace(base, likeness=truth), count, 120 + place, scores=("margin",), photos=2)
        values = [judged.assessment.reach[RECOGNIZER, "margin"][0].likeness.value for judged in worlds]
        mean = Mean.of(values)
        yield Row(
            f"likeness of samples, measured on the flagged, where it is {truth:g}",
            "mean over worlds at most the truth; upper end of the interval at most 0.01 above it",
            f"{mean}, {min(values):.2f} to {max(values):.2f}",
            count,
            mean.at_most(truth),
        )


def upper_bounds(bench: Bench) -> ClaimResult:
    """Leaked people whose rate the upper limit does not hold."""
    rows, shares, count = [], dict[str, Share](), bench.share(LEAKED_WORLDS)
    for place, (name, world) in enumerate(KINDS.items()):
        kind = _Kind(name, world)
        for rate in (0.001, 0.005):
            leaky = replace(world, leaked=LEAKED, rate=rate)
            limits = [
                judged.assessment.ceilings[RECOGNIZER].share[judged.leaked()]
                for judged in bench.judged(leaky, count, 130 + place, **kind.membership)
            ]
            missed = Share(sum(bool((limit < rate).any()) for limit in limits), count)
            known = np.concatenate(limits)
            shares[f"{name}, {100 * rate:g} %"] = missed
            rows.append(
                Row(
                    f"8 people in {100 * rate:g} % of samples: upper limits below that, {name}",
                    "any in at most 5 % of worlds; lower end of the interval at most 5 %",
                    f"{missed}; limits on average {100 * known.mean():.2f} %",
                    count,
                    missed.interval[0] <= 0.05 and missed.value <= 0.05 + ROOM,
                )
            )
        rows.append(_nobody(bench, kind, 140 + place))
    return ClaimResult(rows, lambda axes: _draw(axes, shares))


def cleared(bench: Bench) -> ClaimResult:
    """Leaked people who are cleared at their own share, and how far people are cleared where nobody leaks."""
    rows, shares, count = [], dict[str, Share](), bench.share(CLEARED_WORLDS)
    for place, (name, world) in enumerate(KINDS.items()):
        kind, rate = _Kind(name, world), 0.003
        leaky = replace(world, leaked=LEAKED, rate=rate)
        false, rates = 0, list[float]()
        for judged in bench.judged(leaky, count, 180 + place, **kind.membership):
            at = _cleared(judged) <= rate
            false += int((at & judged.leaked()).sum())
            rates.append(float((at & judged.leaked()).sum() / max(1, at.sum())))
        silent = np.concatenate(
            [
                _cleared(judged)
                for judged in bench.judged(kind.world, bench.share(10), 190 + place, **kind.membership)
            ]
        )
        share, mean = Share(false, LEAKED * count), Mean.of(rates)
        shares[name] = share
        rows.append(
            Row(
                f"8 of 40 people in {100 * rate:g} % of samples, cleared at that share, {name}",
                "each with a chance of at most 5 %, and at most 5 % of those who are cleared",
                f"{share} of people; {100 * mean.value:.1f} % of the cleared; where nobody leaks, half "
                f"of the people are cleared at {1e6 * np.median(silent):,.0f} of a million or less",
                count,
                share.interval[0] <= 0.05 and share.value <= 0.05 + ROOM and mean.value <= 0.05,
            )
        )
    return ClaimResult(rows, lambda axes: _draw(axes, shares))


def _cleared(judged: JudgedWorld) -> NDArray[np.float64]:
    """Of each candidate; infinite for those who are cleared at no share."""
    shares = [decision.cleared_at for decision in judged.judgements[0].decisions]
    return np.array([np.inf if share is None else share for share in shares])


def _nobody(bench: Bench, kind: _Kind, salt: int) -> Row:
    """What is said where nobody leaks."""
    count = bench.share(10)
    shares = [
        float(judged.assessment.ceilings[RECOGNIZER].share.max())
        for judged in bench.judged(kind.world, count, salt, **kind.membership)
    ]
    return Row(
        f"nobody leaks: none of 40 is in more than 1 of so many of 2,000 samples, {kind.name}",
        "no promise of power",
        f"{1 / np.median(shares):,.0f} ({1 / max(shares):,.0f} to {1 / min(shares):,.0f})",
        count,
        None,
    )


def _draw(axes: Axes, shares: dict[str, Share]) -> None:
    draw_shares(axes, shares)
    axes.axvline(0.95 if min(share.value for share in shares.values()) > 0.5 else 0.05, linestyle="--")
