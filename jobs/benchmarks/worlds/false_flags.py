"""Claims about false flags: null worlds, false discoveries, p-values."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from matplotlib.axes import Axes
from scipy.stats import kstest

from jobs.benchmarks.worlds.measures import (
    ERRORS,
    FDR,
    MIXED,
    SCORES,
    TWO,
    Bench,
    Found,
    Mean,
    Row,
    Share,
    draw_shares,
)
from jobs.benchmarks.worlds.simulated import (
    World,
)


def null_worlds(bench: Bench) -> Found:
    """Worlds in which nobody leaks: how many have a flag."""
    names = [*SCORES, "over-representation"]
    flagged = {name: [0, 0] for name in names}
    world = replace(MIXED, samples=1000, photos=(1, 1))
    for judged in bench.judged(world, bench.worlds, 1, scores=SCORES):
        for stage, judgements in enumerate((judged.before, judged.after)):
            for judgement in judgements:
                flagged[judgement.score_name][stage] += bool(judgement.flagged().any())
        flagged[names[-1]][1] += bool(judged.hits.flagged.any())
    shares = {name: Share(after, bench.worlds) for name, (_, after) in flagged.items()}
    rows = []
    for name, share in shares.items():
        before = "" if name == names[-1] else f"; {flagged[name][0]} before explaining away"
        rows.append(
            Row(
                f"null worlds, any flag: {name}",
                "at most 5 % of worlds",
                f"{share}, {share.k} worlds{before}",
                bench.worlds,
                share.at_most(FDR),
            )
        )

    def draw(axes: Axes) -> None:
        draw_shares(axes, shares)
        axes.axvline(FDR, color="black", linestyle="--")
        axes.set(xlabel="share of null worlds with any flag", title="Nobody leaks: 40 candidates, cohort 800")

    return Found(rows, draw)


LEAKED = (1, 10, 50)


def false_discoveries(bench: Bench) -> Found:
    """The false discovery proportion and the power, before and after explaining away."""
    rows: list[Row] = []
    points: dict[str, list[tuple[Mean, Mean]]] = {name: [] for name in TWO}
    base = replace(MIXED, candidates=100, cohort=2000, photos=(1, 1), rate=0.005)
    count = bench.share(50)
    for leaked, siblings in [*((people, 0) for people in LEAKED), (10, 10)]:
        discoveries = _discoveries(bench, replace(base, leaked=leaked, siblings=siblings), count)
        for name in TWO:
            (fdp, power), (fdp_after, power_after) = discoveries[name, 0], discoveries[name, 1]
            lookalikes = f", {siblings} who look like them" if siblings else ""
            rows.append(
                Row(
                    f"false discovery proportion, {leaked} of 100 leaked{lookalikes}: {name}",
                    "no promise: lookalikes are not exchangeable" if siblings else "mean at most 0.05",
                    f"{fdp_after} (power {power_after}); before explaining away {fdp} (power {power})",
                    count,
                    None if siblings else fdp.at_most(FDR) and fdp_after.at_most(FDR),
                )
            )
            if not siblings:
                points[name].append((fdp_after, power_after))

    def draw(axes: Axes) -> None:
        for name, values in points.items():
            for place, label in ((0, "false discovery proportion"), (1, "power")):
                y = [value[place].value for value in values]
                error = [ERRORS * value[place].error for value in values]
                axes.errorbar(LEAKED, y, yerr=error, marker="o", capsize=3, label=f"{name}: {label}")
        axes.axhline(FDR, color="black", linestyle="--")
        axes.set(xscale="log", xlabel="leaked, of 100 candidates", title="Cohort 2,000, FDR 0.05")
        axes.legend()

    return Found(rows, draw)


def _discoveries(bench: Bench, world: World, count: int) -> dict[tuple[str, int], tuple[Mean, Mean]]:
    """(score, 0 before or 1 after explaining away) -> false discovery proportion and power."""
    rates: dict[tuple[str, int], list[tuple[float, float]]] = {}
    for judged in bench.judged(world, count, 10 + world.leaked + world.siblings, scores=TWO, topk=4):
        truth = judged.leaked()
        for stage, judgements in enumerate((judged.before, judged.after)):
            for judgement in judgements:
                flagged = judgement.flagged()
                proportion = float((flagged & ~truth).sum() / max(1, flagged.sum()))
                power = float((flagged & truth).sum() / truth.sum())
                rates.setdefault((judgement.score_name, stage), []).append((proportion, power))
    return {
        key: (Mean.of([a for a, _ in values]), Mean.of([b for _, b in values]))
        for key, values in rates.items()
    }


def null_p_values(bench: Bench) -> Found:
    """Conformal p-values of non-members, one candidate a world and stratum, so that they are independent."""
    count = bench.share(300, least=8)
    world = replace(MIXED, candidates=10, cohort=240, photos=(1, 8), samples=300, groups=True)
    random = bench.random(3)
    p_values: dict[tuple[str, str], list[float]] = {}
    membership = {"scores": TWO, "strata": ("group",), "least_stratum": 50}
    for judged in bench.judged(world, count, 30, **membership):
        names = [judged.frame.gallery.names[candidate] for candidate in judged.frame.candidates]
        groups = [judged.truth.group[name] for name in names]
        for judgement in judged.before:
            uniform = judgement.calibrated.p_value - random.random(len(names)) * judgement.calibrated.floor
            for stratum in ("all", *sorted(set(groups))):
                first = 0 if stratum == "all" else groups.index(stratum)
                p_values.setdefault((judgement.score_name, stratum), []).append(float(uniform[first]))
    tests = {key: kstest(values, "uniform") for key, values in sorted(p_values.items())}
    bar = 0.05 / len(tests)
    rows = [
        Row(
            f"p-values of non-members are uniform, 1 to 8 photos, stratum {stratum}: {name}",
            f"Kolmogorov-Smirnov p at least {bar:.3f} (0.05 over {len(tests)} tests)",
            f"D = {test.statistic:.3f}, p = {test.pvalue:.3f}",
            len(p_values[name, stratum]),
            bool(test.pvalue >= bar),
        )
        for (name, stratum), test in tests.items()
    ]

    def draw(axes: Axes) -> None:
        for (name, stratum), values in p_values.items():
            axes.plot(
                np.sort(values), (np.arange(len(values)) + 0.5) / len(values), label=f"{name}, {stratum}"
            )
        axes.plot([0, 1], [0, 1], color="black", linestyle="--")
        axes.set(xlabel="p-value, jittered within its step", ylabel="share below", title="Non-members")
        axes.legend()

    return Found(rows, draw)
