"""The figures of a comparison of two runs."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from jobs.pages.comparison.run_comparison import NAMES, RunComparison
from jobs.pages.figure_files import (
    CANDIDATES,
    COHORT,
    LEAKED,
    OTHERS,
    FigureFile,
    add_legend,
    drawing,
    encode,
    label,
    log_axis,
    new_figure,
)

WITH_INTERVALS = 100
ALIKE = " ×: so many people at one point."
STYLES = (
    (2, "D", LEAKED, "flagged by both"),
    (1, "^", OTHERS[2], "flagged by one"),
    (0, "o", CANDIDATES, "flagged by neither"),
)

Floats = NDArray[np.float64]


def draw_comparison(comparison: RunComparison) -> Iterator[FigureFile]:
    with drawing():
        yield encode(
            "p_values",
            "p-values",
            f"Everybody's p-value in both runs. Below the diagonal: smaller in B.{ALIKE}",
            _p_values(comparison),
        )
        yield encode(
            "hits",
            "Hits per million samples",
            "How often samples hit each person, with 95 % intervals; no hit: at the left or lower edge."
            f"{_of_margins(comparison)}{ALIKE}",
            _hits(comparison),
        )


def _p_values(comparison: RunComparison) -> Figure:
    first, second = (
        np.array([float(side["p_value"]) for side in sides])
        for sides in ([pair.first for pair in comparison.pairs], [pair.second for pair in comparison.pairs])
    )
    figure = new_figure()
    axis = figure.subplots()
    _points(axis, comparison, first, second)
    _finish(figure, axis, "p-value in A", "p-value in B", min(first.min(), second.min()), 1.0)
    return figure


def _hits(comparison: RunComparison) -> Figure:
    sides = [
        np.array(
            [[hits[name] for name in ("per_million", "per_million_low", "per_million_high")] for hits in rows]
        )
        for rows in (
            [pair.hits_first for pair in comparison.pairs],
            [pair.hits_second for pair in comparison.pairs],
        )
    ]
    samples = [run.results.samples.rows for run in (comparison.first, comparison.second)]
    least = 0.3e6 / max(samples)
    first, second = (np.maximum(side, least) for side in sides)
    figure = new_figure()
    axis = figure.subplots()
    _points(axis, comparison, first[:, 0], second[:, 0])
    for x, y in list(zip(first, second, strict=True))[:WITH_INTERVALS]:
        axis.plot(x[1:], [y[0], y[0]], color=COHORT, lw=0.7, zorder=1)
        axis.plot([x[0], x[0]], y[1:], color=COHORT, lw=0.7, zorder=1)
    names = [f"hits per million in {name}" for name in NAMES]
    _finish(figure, axis, names[0], names[1], least, max(first.max(), second.max()))
    return figure


def _of_margins(comparison: RunComparison) -> str:
    margins = [run.least_margin for run in (comparison.first, comparison.second)]
    if margins[0] is None or margins[1] is None:
        return ""
    sides = [f"{margin:g} or more in {name}" for margin, name in zip(margins, NAMES, strict=True)]
    return f" A hit fits the person better than anybody else by {' and '.join(sides)}."


def _points(axis: Axes, comparison: RunComparison, x: Floats, y: Floats) -> None:
    flags = np.array([sum(pair.is_leaked) for pair in comparison.pairs])
    for count, marker, color, name in STYLES:
        chosen = flags == count
        if chosen.any():
            axis.plot(x[chosen], y[chosen], marker, ms=4, color=color, label=name)
    places, people = np.unique(np.stack([x, y], axis=1), axis=0, return_counts=True)
    for place, count in zip(places[people > 1], people[people > 1], strict=True):
        axis.annotate(f"×{count:,}", place, (4, 4), textcoords="offset points", fontsize="small")


def _finish(figure: Figure, axis: Axes, x: str, y: str, low: float, high: float) -> None:
    ends = (low / 1.3, high * 1.3)
    axis.plot(ends, ends, ":", color=COHORT, lw=1)
    log_axis(axis, "x")
    log_axis(axis, "y")
    axis.set(xlim=ends, ylim=ends)
    label(axis, x, y)
    add_legend(figure)
