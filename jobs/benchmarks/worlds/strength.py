"""Claims about how much is found: the grid of power, and the example of one person among many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from matplotlib.axes import Axes
from scipy.stats import t

from distributed.statistics.similarity import Floats
from jobs.benchmarks.worlds.exact import max_of_photos
from jobs.benchmarks.worlds.measures import LEAST_FOR_GRID, TWO, Bench, ClaimResult, Row, Share, draw_shares
from jobs.benchmarks.worlds.simulated import (
    JudgedWorld,
    World,
)
from schemas.run.tables import Verdict

RAW = "photos' nearest samples"


@dataclass(frozen=True)
class Cell:
    """One kind of world, and the TPR at 0.1 % FPR of `margin` and of photos' nearest samples, each (seeds,).

    fused: that of the score `max`, the nearest sample of a person's one template.
    """

    name: str
    easy: bool
    margin: Floats
    raw: Floats
    fused: Floats

    @property
    def bounds(self) -> tuple[float, float]:
        """The 95 % interval of the mean difference over seeds."""
        return self.reach(0.975)

    def reach(self, level: float) -> tuple[float, float]:
        """Student's limits of the mean difference over seeds, each one-sided of this level."""
        difference = self.margin - self.raw
        error = float(difference.std(ddof=1)) / np.sqrt(len(difference))
        far = float(t.ppf(level, len(difference) - 1)) * error
        return float(difference.mean() - far), float(difference.mean() + far)

    @property
    def ratio(self) -> float:
        return float(self.margin.mean() / self.raw.mean()) if self.raw.any() else float("inf")

    def __str__(self) -> str:
        least, most = (self.margin - self.raw).min(), (self.margin - self.raw).max()
        low, high = self.bounds
        return (
            f"{self.margin.mean():.3f} against {self.raw.mean():.3f}: ratio {self.ratio:.2f}; "
            f"difference {least:+.2f} to {most:+.2f} over seeds, mean in [{low:+.3f}, {high:+.3f}]; "
            f"by max {self.fused.mean():.3f}"
        )


def power(bench: Bench) -> ClaimResult:
    """margin against the nearest sample of each photo, the attack of GAN-Leaks, over a grid of worlds."""
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
        cells.append(Cell(name, hubs == 0 and quality == "same", *tprs.T))
    rows = [_grid_row(cells, seeds), _hard_row(cells, seeds)]
    rows += [Row(f"TPR at 0.1 % FPR, {cell.name}", "see above", str(cell), seeds, None) for cell in cells]
    return ClaimResult(rows, lambda axes: _draw_power(axes, cells))


def _tprs(judged: JudgedWorld) -> list[float]:
    """Of margin, of photos' nearest samples, and of `max`."""
    margin, fused = (judgement.calibrated.score for judgement in judged.judgements)
    truth, tprs = judged.leaked(), []
    for score in (margin, max_of_photos(judged)[judged.frame.candidates], fused):
        allowed = int(0.001 * (~truth).sum())
        threshold = np.sort(score[~truth])[-1 - allowed]
        tprs.append(float((score[truth] > threshold).mean()))
    return tprs


def _grid_row(cells: Sequence[Cell], seeds: int) -> Row:
    lower = [cell for cell in cells if cell.bounds[1] < 0]
    surely = sum(cell.reach(1 - 0.025 / len(cells))[1] < 0 for cell in cells)
    ratios = np.array([cell.ratio for cell in cells])
    return Row(
        f"TPR at 0.1 % FPR of margin is never below that of {RAW}",
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
        f"TPR at 0.1 % FPR of margin is at or above that of {RAW} wherever hubs or mixed quality",
        "all such kinds of world, by the mean over seeds",
        f"{(ratios >= 1).sum()} of {len(hard)} at or above, {beyond} of them by 95 % intervals; "
        f"ratio {ratios.min():.2f} to {ratios.max():.2f}, median {np.median(ratios):.2f}",
        seeds * len(hard),
        bool((ratios >= 1).all()),
    )


def _draw_power(axes: Axes, cells: Sequence[Cell]) -> None:
    place = np.arange(len(cells))
    for values, label in (
        ([cell.raw for cell in cells], RAW),
        ([cell.fused for cell in cells], "max"),
        ([cell.margin for cell in cells], "margin"),
    ):
        mean = [value.mean() for value in values]
        spread = np.array([[value.mean() - value.min(), value.max() - value.mean()] for value in values]).T
        axes.errorbar(mean, place, xerr=spread, fmt="o", capsize=2, label=label)
    axes.set_yticks(place, [cell.name for cell in cells], fontsize=6)
    axes.invert_yaxis()
    axes.set(xlabel="TPR at 0.1 % FPR, mean and range over seeds")
    axes.legend()


def example(bench: Bench) -> ClaimResult:
    """158 candidates, a cohort of 452, and one person who makes a few per cent of the samples."""
    rows, count, shares = [], bench.share(10), dict[str, Share]()
    plain = World(0, candidates=158, cohort=452, photos=(2, 2), samples=20_000, leaked=1)
    kinds = {"no hubs, same quality": plain}
    kinds["10 % hubs, mixed quality"] = replace(plain, hubs=0.1, quality="mixed")
    for (kind, world), rate in product(kinds.items(), (0.01, 0.03, 0.05)):
        worlds = list(bench.judged(replace(world, rate=rate), count, 90, scores=("margin",)))
        name = f"{kind}, one person with {100 * rate:g} % of 20,000 samples"
        row, shares[f"{kind}, {100 * rate:g} %"] = _example_row(name, worlds)
        rows.append(row)

    def draw(axes: Axes) -> None:
        draw_shares(axes, shares)
        axes.set(xlabel="share of worlds in which the leaked person is over-represented")

    return ClaimResult(rows, draw)


def _example_row(name: str, worlds: Sequence[JudgedWorld]) -> tuple[Row, Share]:
    places = [int(np.flatnonzero(world.leaked())[0]) for world in worlds]
    pairs = list(zip(worlds, places, strict=True))
    verdicts = [world.judgements[0].decisions[place].verdict for world, place in pairs]
    p = [float(world.judgements[0].calibrated.p_value[place]) for world, place in pairs]
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
