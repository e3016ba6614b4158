"""Claims about the test of whether templates tell candidates from the cohort."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from matplotlib.axes import Axes

from distributed.statistics.drift import WARN_BELOW
from distributed.statistics.people.roles import RoleTest, role_test
from jobs.benchmarks.worlds.measures import Bench, ClaimResult, Mean, Row, Share, draw_shares
from jobs.benchmarks.worlds.simulated import Simulator, World, worlds_like

PLAIN = World(0, candidates=100, cohort=400, samples=1, hubs=0.1, quality="mixed")
WORLDS = 200


def roles(bench: Bench) -> ClaimResult:
    """Exchangeable sides, and two groups mixed 70 to 30 among candidates and 30 to 70 in the cohort."""
    count = bench.share(WORLDS)
    plain = [_test(world) for world in worlds_like(replace(PLAIN, seed=bench.seed + 160), count)]
    mixed = worlds_like(replace(PLAIN, seed=bench.seed + 161, groups=True), count)
    grouped = [_test(world) for world in mixed]
    strata = [_test(world, strata=True) for world in mixed]
    shares = {"exchangeable sides": _share(plain), "two groups": _share(grouped), "as strata": _share(strata)}
    rows = [
        Row(
            f"candidates and cohort are said not to be exchangeable: {name}",
            "no promise of power" if name == "two groups" else "at most 1 % of worlds",
            f"{share}; AUC {np.mean([test.auc for test in tests]):.2f}",
            count,
            None if name == "two groups" else share.at_most(WARN_BELOW + 0.02),
        )
        for (name, share), tests in zip(shares.items(), (plain, grouped, strata), strict=True)
    ]

    def draw(axes: Axes) -> None:
        draw_shares(axes, shares)
        axes.set(xlabel="share of worlds with the warning")

    return ClaimResult(rows, draw)


GROUPS = World(0, candidates=40, cohort=800, samples=1500, groups=True)
ADJUSTED_WORLDS = 150
ADJUSTMENTS: Mapping[str, tuple[str, ...]] = {
    "as they are": (),
    "adjusted by the group": ("group",),
    "adjusted by templates": ("templates",),
}


def adjusted(bench: Bench) -> ClaimResult:
    """Null worlds of two groups, mixed 70 to 30 and 30 to 70, and the same groups where 4 leak."""
    rows, shares, count = [], dict[str, Share](), bench.share(ADJUSTED_WORLDS)
    for name, adjust in ADJUSTMENTS.items():
        membership: dict[str, object] = {"scores": ("margin", "max"), "adjust": adjust}
        worlds = list(bench.judged(GROUPS, count, 170, **membership))
        leaky = list(bench.judged(replace(GROUPS, leaked=4, rate=0.004), count // 3, 171, **membership))
        for place, score in enumerate(("margin", "max")):
            p_values = [judged.judgements[place].calibrated.p_value for judged in worlds]
            small = Mean.of([float((p <= 0.05).mean()) for p in p_values])
            flags = Share(sum(bool(judged.judgements[place].flagged().any()) for judged in worlds), count)
            flagged = [judged.judgements[place].flagged()[judged.leaked()].mean() for judged in leaky]
            shares[f"{score}, {name}"] = flags
            rows.append(
                Row(
                    f"two groups mixed unequally, nobody leaks, {score}, {name}",
                    "no promise" if not adjust else "P(p <= 0.05) at most 0.06, any flag in at most 6 %",
                    f"P(p <= 0.05) {small}; any flag {flags}; where 4 of 40 leak, {np.mean(flagged):.0%} of "
                    "them are flagged",
                    count,
                    small.value <= 0.06 and flags.value <= 0.06 if adjust else None,
                )
            )

    def draw(axes: Axes) -> None:
        draw_shares(axes, shares)
        axes.set(xlabel="share of null worlds with any flag")

    return ClaimResult(rows, draw)


def _share(tests: list[RoleTest]) -> Share:
    return Share(sum(test.p_value < WARN_BELOW for test in tests), len(tests))


def _test(world: World, *, strata: bool = False) -> RoleTest:
    simulator = Simulator(world)
    drawn = simulator.draw()
    people = np.concatenate([simulator.candidates.group, simulator.cohort.group])
    stratum = people[drawn.identity] if strata else np.zeros(len(drawn.identity), np.int64)
    test = role_test(drawn.gallery.astype(np.float32), drawn.identity < world.candidates, stratum)
    assert test is not None
    return test
