"""Three claims, tested on what protocol.py has measured.

PYTHONPATH=examples/demo python examples/seed/claims.py [FOLDER] [--figure PNG]

Prints Markdown tables. Trends are by Jonckheere and Terpstra, exact; trained against other photos by
Wilcoxon's signed ranks over trainings.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from protocol import IDENTITIES, OUTPUT, TIMES, TIMES_AMONG, Cell, Trained, read_cells
from scipy.stats import wilcoxon
from trend import jonckheere_terpstra

Value = Callable[[Trained], float]
FAMILIES = {"gan": "GAN", "diffusion": "diffusion"}
COLUMNS = "| generator | {} | {} | {} | trend, one-sided p |\n|---|---|---|---|---|"


def auc_other(trained: Trained) -> float:
    return trained.success.auc_other


def auc_trained(trained: Trained) -> float:
    return trained.success.auc_trained


def per_million(trained: Trained) -> float:
    return 1e6 * trained.success.hits


def by_identities(done: Sequence[Trained], family: str, value: Value) -> list[list[float]]:
    """The values of all seeds, for each of IDENTITIES."""
    return [_values(done, family, count, 1, value) for count in IDENTITIES]


def by_times(done: Sequence[Trained], family: str, value: Value) -> list[list[float]]:
    """The values of all seeds, for each of TIMES."""
    return [_values(done, family, TIMES_AMONG, times, value) for times in TIMES]


def _values(done: Sequence[Trained], family: str, count: int, times: int, value: Value) -> list[float]:
    cells = {trained.cell: value(trained) for trained in done}
    return [cells[cell] for seed in range(99) if (cell := Cell(family, count, times, seed)) in cells]


def falling(groups: Sequence[Sequence[float]]) -> float:
    """p of a falling trend."""
    return jonckheere_terpstra([[-value for value in group] for group in groups])[1]


def rising(groups: Sequence[Sequence[float]]) -> float:
    return jonckheere_terpstra(groups)[1]


def text_of(values: Sequence[float], form: str) -> str:
    """The mean, the least and the most, and how many there are."""
    if not values:
        return "not run"
    spread = f"{np.mean(values):{form}} ({min(values):{form}} to {max(values):{form}})"
    return f"{spread}, n = {len(values)}"


def tables(done: Sequence[Trained]) -> Iterator[str]:
    """A table a claim, of the families that have trainings for it."""
    yield "**More people, less success.** AUC of members against non-members, by other photos.\n"
    yield COLUMNS.format(*(f"{count} identities" for count in IDENTITIES))
    for family, name in FAMILIES.items():
        if any(groups := by_identities(done, family, auc_other)):
            yield _row(name, groups, ".3f", falling(groups))
    yield "\n**Photos trained on, and others.** Mean AUC over trainings with as many photos of each member.\n"
    yield "| generator | trained on | others | larger for trained on | two-sided p |\n|---|---|---|---|---|"
    for family, name in FAMILIES.items():
        if any(by_identities(done, family, auc_other)):
            yield _trained_row(done, family, name)
    yield f"\n**One person over-represented** among {TIMES_AMONG}: samples per million that hit them.\n"
    yield COLUMNS.format(*(f"{times} times" for times in TIMES))
    for family, name in FAMILIES.items():
        if any(groups := by_times(done, family, per_million)):
            yield _row(name, groups, ",.0f", rising(groups))


def _trained_row(done: Sequence[Trained], family: str, name: str) -> str:
    trained = np.concatenate(by_identities(done, family, auc_trained))
    other = np.concatenate(by_identities(done, family, auc_other))
    p_value, larger = wilcoxon(trained, other).pvalue, int((trained > other).sum())
    means = f"{trained.mean():.3f} | {other.mean():.3f}"
    return f"| {name} | {means} | {larger} of {len(other)} trainings | {p_value:.2g} |"


def _row(name: str, groups: Sequence[Sequence[float]], form: str, p_value: float) -> str:
    trend = f"{p_value:.2g}" if sum(map(bool, groups)) > 1 else ""
    return f"| {name} | {' | '.join(text_of(group, form) for group in groups)} | {trend} |"


def draw(done: Sequence[Trained], path: Path) -> None:
    """Both trends, a point a training, a line through the means."""
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    for family, colour in zip(FAMILIES, ("tab:blue", "tab:orange"), strict=True):
        if any(groups := by_identities(done, family, auc_other)):
            _points(left, IDENTITIES, groups, colour, FAMILIES[family])
        if any(groups := by_times(done, family, per_million)):
            _points(right, TIMES, groups, colour, FAMILIES[family])
    left.set(xscale="log", xlabel="training identities", ylabel="ROC AUC, other photos", xticks=IDENTITIES)
    right.set(xlabel="times the others' photos", ylabel="hits per million samples", xticks=TIMES)
    left.set_xticklabels(map(str, IDENTITIES))
    left.minorticks_off()
    left.axhline(0.5, color="grey", linewidth=0.8, linestyle=":")
    left.legend(frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context({"svg.hashsalt": "idleak"}):
        figure.savefig(path, dpi=120)


def _points(axes: Axes, x: Sequence[int], groups: Sequence[Sequence[float]], colour: str, label: str) -> None:
    known = [(place, group) for place, group in zip(x, groups, strict=True) if group]
    for place, group in known:
        axes.plot([place] * len(group), group, "o", color=colour, alpha=0.5, markersize=4)
    axes.plot([x for x, _ in known], [np.mean(group) for _, group in known], color=colour, label=label)


def main() -> None:
    """Print the tables, draw the figure if asked."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path, nargs="?", default=OUTPUT)
    parser.add_argument("--figure", type=Path)
    arguments = parser.parse_args()
    done = read_cells(arguments.folder / "cells.csv")
    print("\n".join(tables(done)))
    if arguments.figure:
        draw(done, arguments.figure)


if __name__ == "__main__":
    main()
