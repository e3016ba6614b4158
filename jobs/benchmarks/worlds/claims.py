"""`idleak bench worlds`: the method's promises, measured on simulated worlds whose truth is known."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import matplotlib
import numpy as np
from scipy.stats import beta, kstest, t

from distributed.gallery.enrolled import enrolled_gallery
from distributed.membership.assess import assess
from distributed.membership.score_tables import neighbours_table, scores_table
from distributed.statistics.calibration import Q_DECIMALS, benjamini_hochberg
from distributed.statistics.over_representation import over_representation
from distributed.statistics.people.population import (
    IdentityCount,
    MatchRates,
    count_identities,
    densest_clusters,
    identities_of,
    match_rates,
)
from distributed.statistics.similarity import Floats, Integers
from distributed.statistics.spending import e_benjamini_hochberg, night_e_values, night_level, night_weight
from distributed.storage.store import RunStore, encode_table
from jobs.benchmarks.worlds.simulated import (
    RECOGNIZER,
    JudgedWorld,
    Simulator,
    World,
    any_groups,
    exact_scores,
    in_process,
    judge_world,
    world_spec,
    worlds_like,
    write_world,
)
from jobs.cli.exit_codes import ExitCode
from schemas.run.artefacts import GALLERY_FILE
from schemas.run.shard import Footer
from schemas.run.tables import Verdict
from schemas.wording import format_seconds

matplotlib.use("Agg")
from matplotlib.axes import Axes
from matplotlib.figure import Figure

FULL = 300
FDR = 0.05
ERRORS = 2.0
"""Standard errors by which a figure may miss its bar: Monte Carlo error."""
LEAST_FOR_GRID = 50
"""With fewer worlds than this, power is measured on a small part of the grid."""
SCORES = ("cohort_norm", "max", "topk_mean", "hit_rate", "s_norm", "density_ratio")
TWO = ("cohort_norm", "max")
MIXED = World(0, photos=(1, 2), hubs=0.1, quality="mixed")
TABLE_FILE = "worlds.md"


@dataclass(frozen=True)
class Row:
    """One claim and what was measured. holds: None where nothing is promised."""

    claim: str
    bar: str
    measured: str
    worlds: int
    holds: bool | None

    @property
    def verdict(self) -> str:
        return "reported" if self.holds is None else "holds" if self.holds else "FAILS"


@dataclass(frozen=True)
class Found:
    """A claim's rows and its plot."""

    rows: Sequence[Row]
    draw: Callable[[Axes], None]


@dataclass(frozen=True)
class Bench:
    """How much is measured. worlds: the null worlds; other claims have numbers in proportion."""

    worlds: int
    seed: int

    def share(self, full: int, least: int = 2) -> int:
        """As many as `full` is of FULL."""
        return max(least, round(full * self.worlds / FULL))

    def random(self, salt: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, salt])

    def judged(self, world: World, count: int, salt: int, **membership: object) -> Iterator[JudgedWorld]:
        """Worlds like this one, with seeds of their own, judged one by one."""
        seeded = replace(world, seed=1_000_003 * self.seed + salt)
        for variant in worlds_like(seeded, count):
            with tempfile.TemporaryDirectory() as folder:
                yield judge_world(variant, Path(folder), **membership)


def bench_worlds(worlds: int, seed: int, output: Path, claims: Sequence[str]) -> ExitCode:
    """Measure the claims; write `worlds.md` and a plot of each. FAILED if a claim does not hold."""
    output.mkdir(parents=True, exist_ok=True)
    bench, rows, start = Bench(worlds, seed), list[Row](), time.perf_counter()
    for name in claims:
        began = time.perf_counter()
        result = CLAIMS[name](bench)
        rows += result.rows
        (output / TABLE_FILE).write_text(markdown(rows), encoding="utf-8")
        _save_plot(result, output / f"{name}.png")
        for row in result.rows:
            print(f"{row.verdict:8}  {row.claim}: {row.measured}", flush=True)
        print(f"[{name}: {format_seconds(time.perf_counter() - began)}]", flush=True)
    print(f"{output / TABLE_FILE}: {len(rows)} rows in {format_seconds(time.perf_counter() - start)}")
    return ExitCode.FAILED if any(row.holds is False for row in rows) else ExitCode.OK


def markdown(rows: Sequence[Row]) -> str:
    lines = ["| claim | bar | measured | worlds | verdict |", "|---|---|---|---|---|"]
    lines += [
        f"| {row.claim} | {row.bar} | {row.measured} | {row.worlds:,} | {row.verdict} |" for row in rows
    ]
    return "\n".join(lines) + "\n"


def _save_plot(result: Found, path: Path) -> None:
    figure = Figure(figsize=(8, 5), layout="constrained")
    result.draw(figure.subplots())
    figure.savefig(path, dpi=100)


@dataclass(frozen=True)
class Share:
    """k of n worlds, with the exact 95 % interval."""

    k: int
    n: int

    @property
    def value(self) -> float:
        return self.k / self.n

    @property
    def interval(self) -> tuple[float, float]:
        low = float(beta.ppf(0.025, self.k, self.n - self.k + 1)) if self.k else 0.0
        high = float(beta.ppf(0.975, self.k + 1, self.n - self.k)) if self.k < self.n else 1.0
        return low, high

    def at_most(self, bar: float) -> bool:
        return self.value <= bar + ERRORS * float(np.sqrt(bar * (1 - bar) / self.n))

    def __str__(self) -> str:
        low, high = self.interval
        return f"{100 * self.value:.1f} % [{100 * low:.1f}, {100 * high:.1f}]"


@dataclass(frozen=True)
class Mean:
    """A mean over worlds, with its standard error."""

    value: float
    error: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Mean:
        spread = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
        return cls(float(np.mean(values)), spread / float(np.sqrt(len(values))))

    def at_most(self, bar: float) -> bool:
        return self.value <= bar + ERRORS * self.error

    def __str__(self) -> str:
        return f"{self.value:.3f} ± {self.error:.3f}"


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
        _draw_shares(axes, shares)
        axes.axvline(FDR, color="black", linestyle="--")
        axes.set(xlabel="share of null worlds with any flag", title="Nobody leaks: 40 candidates, cohort 800")

    return Found(rows, draw)


def _draw_shares(axes: Axes, shares: dict[str, Share]) -> None:
    names = list(shares)
    values = np.array([share.value for share in shares.values()])
    ends = np.array([share.interval for share in shares.values()])
    axes.errorbar(values, np.arange(len(names)), xerr=np.abs(ends.T - values), fmt="o", capsize=3)
    axes.set_yticks(np.arange(len(names)), names)
    axes.invert_yaxis()


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


@dataclass(frozen=True)
class Cell:
    """One kind of world, and the TPR at 0.1 % FPR of cohort_norm and of max, each (seeds,)."""

    name: str
    easy: bool
    norm: Floats
    raw: Floats

    @property
    def bounds(self) -> tuple[float, float]:
        """The 95 % interval of the mean difference over seeds."""
        return self.reach(0.975)

    def reach(self, level: float) -> tuple[float, float]:
        """Student's limits of the mean difference over seeds, each one-sided of this level."""
        difference = self.norm - self.raw
        error = float(difference.std(ddof=1)) / np.sqrt(len(difference))
        far = float(t.ppf(level, len(difference) - 1)) * error
        return float(difference.mean() - far), float(difference.mean() + far)

    @property
    def ratio(self) -> float:
        return float(self.norm.mean() / self.raw.mean()) if self.raw.any() else float("inf")

    def __str__(self) -> str:
        least, most = (self.norm - self.raw).min(), (self.norm - self.raw).max()
        low, high = self.bounds
        return (
            f"{self.norm.mean():.3f} against {self.raw.mean():.3f}: ratio {self.ratio:.2f}; "
            f"difference {least:+.2f} to {most:+.2f} over seeds, mean in [{low:+.3f}, {high:+.3f}]"
        )


def power(bench: Bench) -> Found:
    """cohort_norm against max, over a grid of worlds."""
    seeds = bench.share(6)
    cells = []
    grid = product((0.0, 0.1, 0.3), ("same", "mixed"), (1, 4), (0.0005, 0.002))
    if bench.worlds < LEAST_FOR_GRID:
        grid = product((0.0, 0.3), ("same", "mixed"), (1,), (0.0005,))
    for place, (hubs, quality, photos, rate) in enumerate(grid):
        world = replace(
            World(0, candidates=2100, cohort=300, photos=(photos, photos), leaked=100),
            hubs=hubs,
            quality="mixed" if quality == "mixed" else "same",
            rate=rate,
        )
        tprs = np.array([_tprs(judged) for judged in bench.judged(world, seeds, 400 + place, scores=TWO)])
        name = f"{100 * hubs:.0f} % hubs, {quality} quality, {photos} photos, rate {100 * rate:g} %"
        cells.append(Cell(name, hubs == 0 and quality == "same", tprs[:, 0], tprs[:, 1]))
    rows = [_grid_row(cells, seeds), _hard_row(cells, seeds)]
    rows += [Row(f"TPR at 0.1 % FPR, {cell.name}", "see above", str(cell), seeds, None) for cell in cells]
    return Found(rows, lambda axes: _draw_power(axes, cells))


def _tprs(judged: JudgedWorld) -> list[float]:
    truth, tprs = judged.leaked(), []
    for judgement in judged.before:
        score = judgement.calibrated.score
        allowed = int(0.001 * (~truth).sum())
        threshold = np.sort(score[~truth])[-1 - allowed]
        tprs.append(float((score[truth] > threshold).mean()))
    return tprs


def _grid_row(cells: Sequence[Cell], seeds: int) -> Row:
    lower = [cell for cell in cells if cell.bounds[1] < 0]
    surely = sum(cell.reach(1 - 0.025 / len(cells))[1] < 0 for cell in cells)
    ratios = np.array([cell.ratio for cell in cells])
    return Row(
        "TPR at 0.1 % FPR of cohort_norm is never below that of max",
        "no kind of world below by a 95 % interval corrected for so many kinds",
        f"{surely} of {len(cells)} kinds below; by plain 95 % intervals {len(lower)} "
        f"({'; '.join(cell.name for cell in lower) or 'none'}), where chance gives {0.025 * len(cells):.1f}; "
        f"by the mean alone {(ratios < 1).sum()}; smallest ratio {ratios.min():.2f}",
        seeds * len(cells),
        not surely,
    )


def _hard_row(cells: Sequence[Cell], seeds: int) -> Row:
    hard = [cell for cell in cells if not cell.easy]
    ratios = np.array([cell.ratio for cell in hard])
    beyond = sum(cell.bounds[0] > 0 for cell in hard)
    return Row(
        "TPR at 0.1 % FPR of cohort_norm is above that of max wherever hubs or mixed quality",
        "all such kinds of world, by the mean over seeds",
        f"{(ratios > 1).sum()} of {len(hard)} above, {beyond} of them by 95 % intervals; "
        f"ratio {ratios.min():.2f} to {ratios.max():.2f}, median {np.median(ratios):.2f}",
        seeds * len(hard),
        bool((ratios > 1).all()),
    )


def _draw_power(axes: Axes, cells: Sequence[Cell]) -> None:
    place = np.arange(len(cells))
    for values, label in (
        ([cell.raw for cell in cells], "max"),
        ([cell.norm for cell in cells], "cohort_norm"),
    ):
        mean = [value.mean() for value in values]
        spread = np.array([[value.mean() - value.min(), value.max() - value.mean()] for value in values]).T
        axes.errorbar(mean, place, xerr=spread, fmt="o", capsize=2, label=label)
    axes.set_yticks(place, [cell.name for cell in cells], fontsize=6)
    axes.invert_yaxis()
    axes.set(xlabel="TPR at 0.1 % FPR, mean and range over seeds")
    axes.legend()


EXPECTED_HITS = (1, 3, 10, 30, 100, 1000)
HIT_SAMPLES = 20_000


def hit_intervals(bench: Bench) -> Found:
    """Coverage of the interval of hits per million.

    Samples are independent draws, so a world's hits are binomial: they are drawn as such.
    """
    random, count = bench.random(5), 1000
    shares = {}
    for expected in EXPECTED_HITS:
        hits = random.binomial(HIT_SAMPLES, expected / HIT_SAMPLES, count)
        intervals = over_representation(hits, HIT_SAMPLES, np.zeros(1, dtype=np.int64))
        rate = expected / HIT_SAMPLES * 1e6
        shares[f"{expected} hits expected"] = Share(
            int(((intervals.low <= rate) & (rate <= intervals.high)).sum()), count
        )
    rows = [
        Row(
            f"interval of hits per million holds the true rate, {name}",
            "93 to 97 % of worlds",
            str(share),
            count,
            (1 - share.value <= 0.07) and share.value <= 0.97,
        )
        for name, share in shares.items()
    ]

    def draw(axes: Axes) -> None:
        _draw_shares(axes, shares)
        axes.axvspan(0.93, 0.97, alpha=0.2)
        axes.set(xlabel="share of worlds whose interval holds the rate", title=f"{HIT_SAMPLES:,} samples")

    return Found(rows, draw)


ZIPF = 1 / np.arange(1, 3001)
POPULATIONS = {
    "100 people": np.full(100, 1 / 100),
    "10,000 people": np.full(10_000, 1 / 10_000),
    "100,000 people": np.full(100_000, 1 / 100_000),
    "3,000 people, Zipf": ZIPF / ZIPF.sum(),
    "one with a tenth of samples": np.array([0.1, *[0.9 / 10_000] * 10_000]),
}


def identity_counts(bench: Bench) -> Found:
    """Coverage of the number of identities: matches drawn by identity, and by templates."""
    random, count, shares = bench.random(6), bench.share(300, least=20), dict[str, Share]()
    for name, p in POPULATIONS.items():
        truth, held = 1 / float((p**2).sum()), 0
        for _ in range(count):
            fmr, rates = _cohort_rates(random, 300, 0.95)
            identities = identities_of(_collisions(random, p, 1000, 0.95, fmr), rates)
            held += identities.low <= truth <= identities.high
        shares[f"{name}, matches drawn"] = Share(held, count)
    clusters = []
    geometric = bench.share(60, least=4)
    base = World(0, candidates=1, cohort=200, photos=(4, 4), dimension=128, samples=1500)
    base = replace(base, people=400, leaked=1, rate=0.05)
    for name, world in {
        "templates, same quality": base,
        "templates, 10 % hubs and mixed quality": replace(base, hubs=0.1, quality="mixed"),
    }.items():
        counted = [
            _counted(variant) for variant in worlds_like(replace(world, seed=bench.seed + 60), geometric)
        ]
        shares[name] = Share(sum(result.held for result in counted), geometric)
        clusters.append(_cluster_row(name, counted))
    rows = [
        Row(
            f"interval of the number of identities holds the truth: {name}",
            "at least 95 % of worlds",
            str(share),
            share.n,
            Share(share.n - share.k, share.n).at_most(0.05),
        )
        for name, share in shares.items()
    ]

    def draw(axes: Axes) -> None:
        _draw_shares(axes, shares)
        axes.axvline(0.95, color="black", linestyle="--")
        axes.set(xlabel="share of worlds whose interval holds 1 / Σ p²")

    return Found([*rows, *clusters], draw)


def _collisions(random: np.random.Generator, p: Floats, n: int, tmr: float, fmr: float) -> Integers:
    """Each sample's matches among n samples of identities of probabilities p."""
    identity = np.sort(random.choice(len(p), n, p=p))
    counts = np.zeros(n, dtype=np.int64)
    for step in range(1, n):
        first = np.flatnonzero(identity[:-step] == identity[step:])
        if not len(first):
            break
        first = first[random.random(len(first)) < tmr]
        counts[first] += 1
        counts[first + step] += 1
    for _ in range(random.poisson(fmr * n * (n - 1) / 2)):
        counts[random.choice(n, 2, replace=False)] += 1
    return counts


def _cohort_rates(random: np.random.Generator, people: int, tmr: float) -> tuple[float, MatchRates]:
    """The true FMR of a threshold just above all pairs of a cohort of four photos each, and what it shows."""
    pairs = 8 * people * (people - 1)
    shares = random.binomial(6, tmr, people) / 6
    estimate, variance = float(shares.mean()), float(shares.var(ddof=1)) / people
    effective = estimate * (1 - estimate) / variance
    return random.exponential(1 / pairs), MatchRates(0.5, 1 / pairs, pairs, estimate, effective, 0.0, people)


@dataclass(frozen=True)
class Counted:
    """What one world's samples say of its people. first: whether the largest cluster is the leaked person;
    share_held: whether their share's interval holds the rate."""

    count: IdentityCount
    truth: float
    first: bool
    share: float
    share_held: bool

    @property
    def held(self) -> bool:
        return self.count.low <= self.truth <= self.count.high


def _counted(world: World) -> Counted:
    simulator = Simulator(world)
    drawn = simulator.draw()
    cohort = drawn.identity >= world.candidates
    rates = match_rates(drawn.gallery[cohort].astype(np.float32), drawn.identity[cohort] - world.candidates)
    samples = drawn.samples.astype(np.float32)
    ids = np.arange(len(samples), dtype=np.int64)
    clusters = densest_clusters(samples, ids, rates.threshold, count=1)
    largest = clusters[0] if clusters else None
    return Counted(
        count_identities(samples, rates),
        simulator.truth().identities,
        largest is not None and bool(drawn.sampled[largest.sample_id] >= 0),
        largest.share if largest else 0.0,
        largest is not None and largest.low <= world.rate <= largest.high,
    )


def _cluster_row(name: str, counted: Sequence[Counted]) -> Row:
    n, held = len(counted), sum(result.share_held for result in counted)
    share = Mean.of([result.share for result in counted])
    ratio = Mean.of([result.count.estimate / result.truth for result in counted])
    return Row(
        f"largest cluster is the person with 5 % of samples: {name}",
        "no promise: templates of one person may not match",
        f"{sum(result.first for result in counted)} worlds; its share {share}, "
        f"interval holds 0.05 in {held}; number of identities over truth {ratio}",
        n,
        None,
    )


NIGHTS = 365
DEPENDENCE = (0.0, 0.9, 1.0)


def nights(bench: Bench) -> Found:
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
        _draw_shares(axes, shares)
        axes.axvline(FDR, color="black", linestyle="--")
        axes.set(xlabel=f"share of years of {NIGHTS} null nights with any flag")

    return Found(rows, draw)


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


EXACT_SCORES = ("cohort_norm", "max", "topk_mean", "hit_rate", "density_ratio", "z_norm", "t_norm", "s_norm")


def exactness(bench: Bench) -> Found:
    """Any split of the samples gives the same bytes; scores equal those of float64 brute force."""
    partitions = bench.share(20, least=4)
    world = replace(MIXED, seed=bench.seed + 80, candidates=20, cohort=150, samples=600, leaked=2, rate=0.02)
    tables = {_tables(world, place) for place in range(partitions + 1)}
    count = bench.share(10)
    errors: dict[str, list[float]] = {name: [] for name in EXACT_SCORES}
    small = replace(world, photos=(1, 3))
    for judged in bench.judged(small, count, 81, scores=EXACT_SCORES):
        exact = exact_scores(judged, topk=16)
        for (_, name), values in judged.book.items():
            errors[name].append(float(np.abs(values - exact[name]).max()))
    worst = {name: max(values) for name, values in errors.items()}
    rows = [
        Row(
            "scores.parquet and neighbours.parquet of any split of the samples",
            "the same bytes",
            f"{len(tables)} distinct result of {partitions + 1} splits into shards, groups and orders",
            1,
            len(tables) == 1,
        ),
        Row(
            f"error of scores of photos against float64 brute force: {', '.join(EXACT_SCORES)}",
            "at most 1e-5",
            f"largest {max(worst.values()):.1e} ({max(worst, key=lambda name: worst[name])})",
            count,
            max(worst.values()) <= 1e-5,
        ),
        _same_as_reduce(replace(small, seed=bench.seed + 82), bench.share(6)),
    ]

    def draw(axes: Axes) -> None:
        axes.barh(list(worst), [max(value, 1e-18) for value in worst.values()])
        axes.axvline(1e-5, color="black", linestyle="--")
        axes.set(xscale="log", xlabel="largest error of a photo's score")

    return Found(rows, draw)


def _tables(world: World, split: int) -> bytes:
    """The bytes of the tables by the whole reduce, of one split of the samples into shards and groups."""
    simulator = Simulator(world)
    drawn = simulator.draw()
    size = int(np.random.default_rng([world.seed, split]).integers(20, world.samples))
    with tempfile.TemporaryDirectory() as folder:
        spec = world_spec(world, Path(folder)).model_copy(update={"shard_size": size})
        gallery = enrolled_gallery(write_world(spec, simulator, drawn), [RECOGNIZER])
        assessed = assess(spec, gallery, in_process(spec, any_groups(split)), {})
    footer = Footer(table="any", fingerprint={}, stop_id=0, rows=0)
    near = neighbours_table(assessed.gallery, assessed.partials)
    scores = scores_table(assessed.frame, assessed.partials, assessed.judgements)
    return encode_table(near, footer) + encode_table(scores, footer)


def _same_as_reduce(world: World, count: int) -> Row:
    """This bench leaves diagnostics out: are the verdicts the same with them?"""
    same = 0
    for variant in worlds_like(world, count):
        with tempfile.TemporaryDirectory() as folder:
            short = judge_world(variant, Path(folder), scores=SCORES)
            spec = world_spec(variant, Path(folder), scores=SCORES)
            gallery = enrolled_gallery(RunStore(spec.output).read_table(GALLERY_FILE), [RECOGNIZER])
            whole = assess(spec, gallery, in_process(spec), {})
        same += all(
            np.array_equal(a.calibrated.p_value, b.calibrated.p_value)
            and list(a.decisions) == list(b.decisions)
            for a, b in zip(short.after, whole.judgements, strict=True)
        ) and np.array_equal(short.hits.flagged, whole.hits[0].flagged)
    return Row(
        "leaving out the diagnostics changes no p-value, verdict or reason",
        "all worlds",
        f"{same} of {count}",
        count,
        same == count,
    )


def example(bench: Bench) -> Found:
    """158 candidates, a cohort of 452, and one person who makes a few per cent of the samples."""
    rows, count, shares = [], bench.share(10), dict[str, Share]()
    plain = World(0, candidates=158, cohort=452, photos=(2, 2), samples=20_000, leaked=1)
    kinds = {"no hubs, same quality": plain}
    kinds["10 % hubs, mixed quality"] = replace(plain, hubs=0.1, quality="mixed")
    for (kind, world), rate in product(kinds.items(), (0.01, 0.03, 0.05)):
        worlds = list(bench.judged(replace(world, rate=rate), count, 90, scores=("cohort_norm",)))
        name = f"{kind}, one person with {100 * rate:g} % of 20,000 samples"
        row, shares[f"{kind}, {100 * rate:g} %"] = _example_row(name, worlds)
        rows.append(row)

    def draw(axes: Axes) -> None:
        _draw_shares(axes, shares)
        axes.set(xlabel="share of worlds in which the leaked person is over-represented")

    return Found(rows, draw)


def _example_row(name: str, worlds: Sequence[JudgedWorld]) -> tuple[Row, Share]:
    places = [int(np.flatnonzero(world.leaked())[0]) for world in worlds]
    pairs = list(zip(worlds, places, strict=True))
    verdicts = [world.after[0].decisions[place].verdict for world, place in pairs]
    p = [float(world.after[0].calibrated.p_value[place]) for world, place in pairs]
    tail = [float(world.hits.p_value[place]) for world, place in pairs]
    flagged = sum(bool(world.hits.flagged[place]) for world, place in pairs)
    others = sum(int(world.hits.flagged.sum()) for world in worlds) - flagged
    said = ", ".join(f"{verdict} {verdicts.count(verdict)}" for verdict in Verdict if verdict in verdicts)
    row = Row(
        f"158 candidates, cohort 452, {name}",
        "no promise of power",
        f"conformal p {np.median(p):.4f} (floor {1 / 453:.4f}), verdict {said}; over-represented in "
        f"{flagged} of {len(worlds)}, model p {np.median(tail):.1e} ({min(tail):.1e} to {max(tail):.1e}); "
        f"others flagged wrongly: {others}",
        len(worlds),
        None,
    )
    return row, Share(flagged, len(worlds))


CLAIMS: dict[str, Callable[[Bench], Found]] = {
    "null": null_worlds,
    "discoveries": false_discoveries,
    "p_values": null_p_values,
    "power": power,
    "hits": hit_intervals,
    "identities": identity_counts,
    "nights": nights,
    "exactness": exactness,
    "example": example,
}
