"""Claims about who is over-represented among the leaked."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from matplotlib.axes import Axes

from jobs.benchmarks.worlds.measures import Bench, ClaimResult, Row, Share, draw_shares
from jobs.benchmarks.worlds.simulated import JudgedWorld, World

PLAIN = World(0, candidates=40, cohort=900, photos=(2, 2), samples=10_000)
SITUATIONS = {
    "20 leak at the same 0.4 %": replace(PLAIN, leaked=20, rate=0.004),
    "5 leak at the same 0.1 %": replace(PLAIN, leaked=5, rate=0.001),
    "2 leak at the same 0.1 %": replace(PLAIN, leaked=2, rate=0.001),
    "5 leak at 0.2 %, one of them 10 times as often": replace(PLAIN, leaked=5, rate=0.002, copies=10),
    "5 leak at 0.2 %, one of them 2 times as often": replace(PLAIN, leaked=5, rate=0.002, copies=2),
    "one leaks alone, 3 %": replace(PLAIN, leaked=1, rate=0.03),
    "nobody leaks": PLAIN,
}
LARGEST = {"10 times", "alone"}
WORLDS = 40


def standing(bench: Bench) -> ClaimResult:
    """In each situation: is the person who is made most over-represented, and is anybody else?"""
    rows, shares, count = [], dict[str, Share](), bench.share(WORLDS)
    for place, (name, world) in enumerate(SITUATIONS.items()):
        worlds = list(bench.judged(world, count, 150 + place, scores=("margin",)))
        others = Share(sum(bool(_flagged(judged, first=False)) for judged in worlds), count)
        first = Share(sum(bool(_flagged(judged, first=True)) for judged in worlds), count)
        more = np.mean([judged.hits.more[judged.leaked()].sum() for judged in worlds])
        stands_out = any(part in name for part in LARGEST)
        text = f"the person made most in {first}; " if world.copies > 1 or world.leaked == 1 else ""
        wrong = others if stands_out else Share(max(others.k, sum(map(_any, worlds))), count)
        shares[name] = first if stands_out else wrong
        rows.append(
            Row(
                f"over-represented, {name}",
                "others in at most 5 % of worlds; lower end of the interval at most 5 %",
                f"{text}others wrongly in {wrong}; more hits than any non-member: {more:.1f} of "
                f"{world.leaked}",
                count,
                wrong.interval[0] <= 0.05,
            )
        )

    def draw(axes: Axes) -> None:
        draw_shares(axes, shares)
        axes.set(xlabel="share of worlds with somebody over-represented")

    return ClaimResult(rows, draw)


def _flagged(judged: JudgedWorld, *, first: bool) -> int:
    """How many are over-represented: of the one whom the generator makes most, or of all others."""
    names = [judged.frame.gallery.names[candidate] for candidate in judged.frame.candidates]
    rates = np.array([judged.truth.rate.get(name, 0.0) for name in names])
    is_first = (rates == rates.max()) & (rates > 0) & ((rates == rates.max()).sum() == 1)
    return int((judged.hits.flagged & (is_first if first else ~is_first)).sum())


def _any(judged: JudgedWorld) -> bool:
    return bool(judged.hits.flagged.any())
