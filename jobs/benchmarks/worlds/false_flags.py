"""Claims about false flags: null worlds and nights, false discoveries, p-values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from matplotlib.axes import Axes

from distributed.statistics.calibration import Q_DECIMALS, benjamini_hochberg
from distributed.statistics.spending import e_benjamini_hochberg, night_e_values, night_level, night_weight
from jobs.benchmarks.worlds.measures import (
    FDR,
    MIXED,
    ROOM,
    SCORES,
    TWO,
    Bench,
    ClaimResult,
    Mean,
    Row,
    Share,
    draw_shares,
)
from jobs.benchmarks.worlds.simulated import (
    World,
)

NIGHTS = 365
DEPENDENCE = (0.0, 0.9, 1.0)


def null_worlds(bench: Bench) -> ClaimResult:
    """Worlds in which nobody leaks: how many have a flag."""
    names, count = (
        [*SCORES, "over-representation", "more hits than any non-member"],
        NULL_FACTOR * bench.worlds,
    )
    flagged = dict.fromkeys(names, 0)
    world = replace(MIXED, samples=1000, photos=(1, 1))
    for judged in bench.judged(world, count, 1, scores=SCORES):
        for judgement in judged.judgements:
            flagged[judgement.score_name] += bool(judgement.flagged().any())
        flagged[names[-2]] += bool(judged.hits.flagged.any())
        flagged[names[-1]] += bool(judged.hits.more.any())
    shares = {name: Share(worlds, count) for name, worlds in flagged.items()}
    rows = [
        Row(
            f"null worlds, any flag: {name}",
            "at most 5 % of worlds; upper end of the interval at most 6 %",
            f"{share}, {share.k} worlds",
            count,
            share.at_most(FDR),
        )
        for name, share in shares.items()
    ]

    def draw(axes: Axes) -> None:
        draw_shares(axes, shares)
        axes.axvline(FDR, color="black", linestyle="--")
        axes.set(xlabel="share of null worlds with any flag", title="Nobody leaks: 40 candidates, cohort 800")

    return ClaimResult(rows, draw)


NULL_FACTOR = 10
"""So many times the other claims' worlds: a share of just 5 % needs them to be told from 6 %."""
LEAKED = (1, 10, 50)
LOOKALIKE_BAR = 0.06


def false_discoveries(bench: Bench) -> ClaimResult:
    """The false discovery proportion and the power."""
    rows: list[Row] = []
    points: dict[str, list[tuple[Mean, Mean]]] = {name: [] for name in TWO}
    base = replace(MIXED, candidates=100, cohort=2000, photos=(1, 1), rate=0.005)
    count = bench.share(300)
    for leaked, siblings in [*((people, 0) for people in LEAKED), (10, 10)]:
        discoveries = _discoveries(bench, replace(base, leaked=leaked, siblings=siblings), count)
        for name in TWO:
            proportion, power = discoveries[name].false_share, discoveries[name].power
            lookalikes = f", {siblings} who look like them" if siblings else ""
            bar = LOOKALIKE_BAR if siblings else FDR
            rows.append(
                Row(
                    f"false discovery proportion, {leaked} of 100 leaked{lookalikes}: {name}",
                    f"mean at most {bar:g}; upper end of the interval at most {bar + ROOM:g}"
                    + (" (no promise: lookalikes are not exchangeable)" if siblings else ""),
                    f"{proportion} (power {power})",
                    count,
                    None if siblings and name != TWO[0] else proportion.at_most(bar),
                )
            )
            if not siblings:
                points[name].append((proportion, power))
                rows.append(_least_members(discoveries[name], name, leaked))

    def draw(axes: Axes) -> None:
        for name, values in points.items():
            for place, label in ((0, "false discovery proportion"), (1, "power")):
                y = [value[place].value for value in values]
                error = [value[place].upper - value[place].value for value in values]
                axes.errorbar(LEAKED, y, yerr=error, marker="o", capsize=3, label=f"{name}: {label}")
        axes.axhline(FDR, color="black", linestyle="--")
        axes.set(xscale="log", xlabel="leaked, of 100 candidates", title="Cohort 2,000, FDR 0.05")
        axes.legend()

    return ClaimResult(rows, draw)


@dataclass(frozen=True)
class Discoveries:
    """Of many worlds: the share of flags that are false, the power, the lower bounds on how many leaked, and
    how many of these bounds are above the truth."""

    false_share: Mean
    power: Mean
    least: Mean
    too_many: Share


def _least_members(discoveries: Discoveries, name: str, leaked: int) -> Row:
    return Row(
        f"at least so many of 100 leaked, of whom {leaked} did: {name}",
        "above the truth in at most 5 % of worlds; upper end of the interval at most 6 %",
        f"above it in {discoveries.too_many}; on average {discoveries.least}",
        discoveries.too_many.n,
        discoveries.too_many.at_most(FDR),
    )


def _discoveries(bench: Bench, world: World, count: int) -> dict[str, Discoveries]:
    rates: dict[str, list[tuple[float, float, int, bool]]] = {}
    for judged in bench.judged(world, count, 10 + world.leaked + world.siblings, scores=TWO):
        truth = judged.leaked()
        for judgement in judged.judgements:
            flagged = judgement.flagged()
            proportion = float((flagged & ~truth).sum() / max(1, flagged.sum()))
            power = float((flagged & truth).sum() / truth.sum())
            least = judgement.least_members()
            rates.setdefault(judgement.score_name, []).append(
                (proportion, power, least, least > int(truth.sum()))
            )
    return {name: _over_worlds(values) for name, values in rates.items()}


def _over_worlds(worlds: Sequence[tuple[float, float, int, bool]]) -> Discoveries:
    shares, powers, least, too_many = zip(*worlds, strict=True)
    return Discoveries(Mean.of(shares), Mean.of(powers), Mean.of(least), Share(sum(too_many), len(worlds)))


TAILS = (0.01, 0.05)
TAIL_ROOM = 0.25
"""Of a tail's probability, which the upper end of its interval may lie above it."""


def null_p_values(bench: Bench) -> ClaimResult:
    """Conformal p-values of non-members in the tail, where verdicts are made."""
    count = bench.share(1000, least=8)
    world = replace(MIXED, candidates=40, cohort=440, photos=(1, 8), samples=300, groups=True)
    shares: dict[tuple[str, str, float], list[float]] = {}
    membership = {"scores": TWO, "strata": ("group",), "least_stratum": 50}
    for judged in bench.judged(world, count, 30, **membership):
        names = [judged.frame.gallery.names[candidate] for candidate in judged.frame.candidates]
        groups = np.array([judged.truth.group[name] for name in names])
        for judgement in judged.judgements:
            p = judgement.calibrated.p_value
            for stratum in ("all", *sorted(set(groups))):
                inside = p if stratum == "all" else p[groups == stratum]
                for tail in TAILS:
                    shares.setdefault((judgement.score_name, stratum, tail), []).append(
                        float((inside <= tail).mean())
                    )
    means = {key: Mean.of(values) for key, values in sorted(shares.items())}
    rows = [
        Row(
            f"p-values of non-members, 1 to 8 photos, stratum {stratum}: {name}, P(p ≤ {tail:g})",
            f"at most {tail:g}; upper end of the interval at most {tail * (1 + TAIL_ROOM):.4g}",
            str(mean),
            count,
            mean.at_most(tail, TAIL_ROOM * tail),
        )
        for (name, stratum, tail), mean in means.items()
    ]

    def draw(axes: Axes) -> None:
        labels = [f"{name}, {stratum}, p ≤ {tail:g}" for name, stratum, tail in means]
        ratios = [mean.value / tail for (_, _, tail), mean in means.items()]
        error = [(mean.upper - mean.value) / tail for (_, _, tail), mean in means.items()]
        axes.errorbar(ratios, np.arange(len(labels)), xerr=error, fmt="o", capsize=3)
        axes.set_yticks(np.arange(len(labels)), labels)
        axes.invert_yaxis()
        axes.axvline(1, color="black", linestyle="--")
        axes.set(xlabel="share of p-values ÷ what is allowed", title="Non-members")

    return ClaimResult(rows, draw)


def nights(bench: Bench) -> ClaimResult:
    """A year of null nights: one gallery, new samples each night. Scores are drawn, not templates.

    A score is what lasts of a person and what is new each night; `lasting` is the share of variance of the
    first. 5 candidates and a cohort of 1,000, so that one can be flagged on the first nights.
    """
    random, years = bench.random(7), bench.share(300, least=6)
    rows, shares = [], {}
    for lasting in DEPENDENCE:
        ledger = naive = 0
        for _ in range(years):
            flagged, any_night = _year(random, lasting, candidates=5, cohort=1000)
            ledger, naive = ledger + flagged, naive + any_night
        share, other = Share(ledger, years), Share(naive, years)
        shares[f"ledger, lasting {lasting:g}"], shares[f"each night alone, lasting {lasting:g}"] = (
            share,
            other,
        )
        rows.append(
            Row(
                f"a year of null nights, any flag in the ledger, lasting share {lasting:g}",
                "at most 5 % of years",
                f"{share}; with Benjamini-Hochberg at 0.05 each night alone {other}",
                years,
                share.at_most(FDR),
            )
        )

    def draw(axes: Axes) -> None:
        draw_shares(axes, shares)
        axes.axvline(FDR, color="black", linestyle="--")
        axes.set(xlabel=f"share of years of {NIGHTS} null nights with any flag")

    return ClaimResult(rows, draw)


def _year(random: np.random.Generator, lasting: float, candidates: int, cohort: int) -> tuple[bool, bool]:
    """Whether the ledger flags anybody in the year, and whether any night alone does."""
    people = candidates + cohort
    scores = np.sqrt(lasting) * random.standard_normal(people) + np.sqrt(
        1 - lasting
    ) * random.standard_normal((NIGHTS, people))
    candidate_scores, others = scores[:, :candidates], np.sort(scores[:, candidates:], axis=1)
    above = np.array(
        [cohort - np.searchsorted(row, own) for row, own in zip(others, candidate_scores, strict=True)]
    )
    p = (1 + above) / (cohort + 1)
    sums, naive, flagged = np.zeros(candidates), False, False
    for night, row in enumerate(p, start=1):
        naive = naive or bool((benjamini_hochberg(row) <= round(FDR, Q_DECIMALS)).any())
        if row.min() <= night_level(night, FDR):
            sums += night_weight(night) * night_e_values(row, FDR, night)
            flagged = flagged or bool(e_benjamini_hochberg(sums, FDR).any())
    return flagged, naive
