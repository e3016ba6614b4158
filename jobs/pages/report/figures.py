"""The figures of a report, from the tables of a finished run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from scipy.stats import norm, rankdata

from distributed.statistics.calibration_band import calibration_band
from jobs.pages.figure_files import (
    BAND,
    CANDIDATES,
    COHORT,
    DASHES,
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
from jobs.pages.finished_run import FinishedRun, column
from jobs.pages.report.error_curves import ErrorCurves, error_curves
from jobs.pages.report.recognizer_agreement import recognizer_pairs
from schemas.run.results import EvaluationResult, PrefixResult, ScoreResult
from schemas.run.tables import Role, Verdict

BINS = 30
BAND_POINTS = 40
POINTS = 2000
"""Drawn of more candidates; each of the first hundred is."""
DET_TICKS = (0.001, 0.01, 0.05, 0.2, 0.5, 0.8, 0.95, 0.99)

Floats = NDArray[np.float64]
Drawing = tuple[str, str, str, Callable[[FinishedRun], Figure | None]]


def draw_figures(run: FinishedRun) -> Iterator[FigureFile]:
    """Every figure that the run has the numbers for. No name of a person is in any of them."""
    for name, title, caption, draw in FIGURES:
        with drawing():
            figure = draw(run)
            if figure is not None:
                yield encode(name, title, caption, figure)


def _scores(run: FinishedRun) -> Figure:
    people = run.people(run.headline)
    candidates = column(people, "score")
    cohort = column(run.people(run.headline, Role.COHORT), "score")
    leaked = candidates[_leaked(people["verdict"].to_pylist())]
    edges = np.histogram_bin_edges(np.concatenate([candidates, cohort]), BINS).tolist()
    figure = new_figure()
    axis = figure.subplots()
    axis.hist(cohort, edges, weights=_shares(cohort), color=COHORT, label=f"cohort ({len(cohort):,})")
    axis.hist(
        candidates,
        edges,
        weights=_shares(candidates),
        histtype="step",
        color=CANDIDATES,
        lw=1.5,
        label="candidates",
    )
    if len(leaked):
        axis.plot(leaked, np.zeros(len(leaked)), "|", ms=12, mew=1.5, color=LEAKED, label="leaked")
    label(axis, f"score: {run.headline.score_name} of {run.headline.recognizer}", "share of people")
    add_legend(figure)
    return figure


def _leaked(verdicts: list[str]) -> NDArray[np.bool_]:
    return np.array([verdict == Verdict.LEAKED for verdict in verdicts], dtype=np.bool_)


def _shares(values: Floats) -> Floats:
    return np.full(len(values), 1 / max(1, len(values)))


def _calibration(run: FinishedRun) -> Figure:
    people = run.people(run.headline)
    p, leaked = column(people, "p_value"), _leaked(people["verdict"].to_pylist())
    cohort = np.sort(column(run.people(run.headline, Role.COHORT), "p_value"))
    m, n = len(p), max(group.cohort for group in run.results.power.groups)
    ranks = _spread(m, BAND_POINTS) + 1
    band = calibration_band(ranks, m, n)
    figure = new_figure()
    axis = figure.subplots()
    axis.fill_between(band.expected, band.low, band.high, color=BAND, lw=0, label="95 % if none leaks")
    shown = _spread(len(cohort), POINTS)
    axis.plot(
        (shown + 1) / (len(cohort) + 1), cohort[shown], color=COHORT, lw=1.2, label="cohort, among itself"
    )
    order = np.argsort(p, kind="stable")
    shown = _spread(m, POINTS)
    x, y, red = (shown + 1) / (m + 1), p[order][shown], leaked[order][shown]
    _points(axis, x, y, ~red, marker="o", color=CANDIDATES, label="candidates")
    _points(axis, x, y, red, marker="D", color=LEAKED, label="leaked")
    log_axis(axis, "x")
    log_axis(axis, "y")
    label(axis, "p-value expected if nobody leaks", "p-value found")
    add_legend(figure)
    return figure


def _points(axis: Axes, x: Floats, y: Floats, chosen: NDArray[np.bool_], **style: Any) -> None:
    if chosen.any():
        axis.plot(x[chosen], y[chosen], ls="", ms=3.5, **style)


def _spread(count: int, most: int) -> NDArray[np.int64]:
    """Indices below count, the first ones all, then ever fewer; at most `most` and both ends."""
    if count <= most:
        return np.arange(count)
    wide = np.geomspace(1, count, most - most // 2).round().astype(np.int64) - 1
    return np.unique(np.concatenate([np.arange(most // 20), wide, [count - 1]]))


def _samples(run: FinishedRun) -> Figure | None:
    prefixes = run.headline.prefixes
    if len(prefixes) < 2:
        return None
    panels = 1 if all(prefix.roc_auc is None for prefix in prefixes) else 2
    figure = new_figure(1.0 if panels == 1 else 1.3)
    axes = figure.subplots(panels, 1, sharex=True, squeeze=False)[:, 0]
    x = [prefix.samples for prefix in prefixes]
    axes[0].plot(x, [prefix.flagged for prefix in prefixes], "o-", color=LEAKED)
    axes[0].set_ylim(0, max(1, *(prefix.flagged for prefix in prefixes)) * 1.1)
    axes[0].yaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes[0].set_ylabel("people flagged")
    if panels == 2:
        axes[1].plot(x, _aucs(prefixes), "o-", color=CANDIDATES)
        axes[1].set_ylim(0, 1.05)
        axes[1].axhline(0.5, color=COHORT, ls="--", lw=1)
        axes[1].set_ylabel("ROC AUC")
    log_axis(axes[-1], "x")
    axes[-1].set_xlabel("samples seen")
    return figure


def _aucs(prefixes: list[PrefixResult]) -> list[float]:
    return [float("nan") if prefix.roc_auc is None else prefix.roc_auc for prefix in prefixes]


def _curves(run: FinishedRun) -> Iterator[tuple[EvaluationResult, ErrorCurves, dict[str, Any]]]:
    """The evaluation of each score of the headline's recogniser, the headline's last, and its style."""
    scores = [score for score in run.results.scores if score.recognizer == run.headline.recognizer]
    for score in sorted(scores, key=lambda ranked: ranked is run.headline):
        if score.evaluation is not None:
            yield score.evaluation, error_curves(score.evaluation), _style(score, scores.index(score), run)


def _style(score: ScoreResult, place: int, run: FinishedRun) -> dict[str, Any]:
    if score is run.headline:
        return {"color": CANDIDATES, "lw": 2.2, "ls": "-", "label": score.score_name}
    color, dashes = OTHERS[place % len(OTHERS)], DASHES[place % len(DASHES)]
    return {"color": color, "lw": 1.2, "ls": dashes, "label": score.score_name}


def _roc(run: FinishedRun) -> Figure | None:
    if run.headline.evaluation is None:
        return None
    figure = new_figure()
    axis = figure.subplots()
    for _, curves, style in _curves(run):
        axis.plot(curves.fpr, curves.tpr, **style)
    axis.plot([0, 1], [0, 1], ":", color=COHORT, lw=1)
    axis.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    label(axis, "false-positive rate", "true-positive rate")
    add_legend(figure)
    return figure


def _det(run: FinishedRun) -> Figure | None:
    if run.headline.evaluation is None:
        return None
    figure = new_figure()
    axis = figure.subplots()
    for evaluation, _, style in _curves(run):
        fpr, fnr = (
            norm.ppf(np.clip(rates, 0.5 / n, 1 - 0.5 / n))
            for rates, n in (
                (evaluation.det_fpr, evaluation.non_members),
                (evaluation.det_fnr, evaluation.members),
            )
        )
        axis.plot(fpr, fnr, marker="o", ms=2.5, **style)
    ticks = [float(norm.ppf(det_tick)) for det_tick in DET_TICKS]
    names = [f"{100 * det_tick:g} %" for det_tick in DET_TICKS]
    low, high = norm.ppf(0.0005), norm.ppf(0.995)
    axis.set_xticks(ticks, names, fontsize=7)
    axis.set_yticks(ticks, names, fontsize=7)
    axis.set(xlim=(low, high), ylim=(low, high))
    label(axis, "false-positive rate", "false-negative rate")
    add_legend(figure)
    return figure


def _precision_recall(run: FinishedRun) -> Figure | None:
    evaluation = run.headline.evaluation
    if evaluation is None:
        return None
    figure = new_figure()
    axis = figure.subplots()
    for _, curves, style in _curves(run):
        axis.plot(curves.recall, curves.precision, **style)
    axis.axhline(
        evaluation.members / (evaluation.members + evaluation.non_members), color=COHORT, ls=":", lw=1
    )
    axis.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    label(axis, "recall: share of members found", "precision: share of members")
    add_legend(figure)
    return figure


def _agreement(run: FinishedRun) -> Figure | None:
    pairs = sorted(
        recognizer_pairs(run),
        key=lambda recognizer_pair: recognizer_pair.score_name != run.headline.score_name,
    )
    if not pairs:
        return None
    pair = pairs[0]
    figure = new_figure()
    axis = figure.subplots()
    m = len(pair.first)
    x, y = (rankdata(values) / m for values in (pair.first, pair.second))
    both, single = pair.flagged_first & pair.flagged_second, pair.flagged_first ^ pair.flagged_second
    axis.plot([0, 1], [0, 1], ":", color=COHORT, lw=1)
    _points(axis, x, y, ~(both | single), marker="o", color=CANDIDATES, label="flagged by neither")
    _points(axis, x, y, single, marker="^", color=OTHERS[2], label="flagged by one")
    _points(axis, x, y, both, marker="D", color=LEAKED, label="flagged by both")
    label(axis, f"rank by {pair.first_name} (1: most at risk)", f"rank by {pair.second_name}")
    add_legend(figure)
    return figure


FIGURES: tuple[Drawing, ...] = (
    (
        "scores",
        "Scores of candidates against the cohort",
        "The cohort shows how large a score gets without membership. Candidates to its right stand out.",
        _scores,
    ),
    (
        "calibration",
        "Are the p-values sound?",
        "If nobody leaks, each point lies in the band with a chance of 95 %. Members leave it at the lower "
        "left; candidates that leave it elsewhere suggest that the cohort is not like them. The cohort's own "
        "line is straight but for ties.",
        _calibration,
    ),
    (
        "samples",
        "Evidence by number of samples",
        "What the first samples alone would have shown.",
        _samples,
    ),
    (
        "roc",
        "ROC: members against others",
        "How many members are found at each share of non-members taken for members, by the labels given. "
        "The thick line decides the verdicts.",
        _roc,
    ),
    (
        "det",
        "DET: both errors",
        "Both error rates on normal-deviate axes; no error among n is drawn as half an error.",
        _det,
    ),
    (
        "precision_recall",
        "Precision and recall",
        "The dotted line is the share of members among the labelled: what picking at random gives.",
        _precision_recall,
    ),
    (
        "agreement",
        "Do the recognisers agree?",
        "Each candidate's rank by the first two recognisers; those who agree lie on the diagonal.",
        _agreement,
    ),
)
