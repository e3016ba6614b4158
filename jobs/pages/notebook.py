"""How a run and a plan look in a notebook: a piece of HTML without scripts and styles of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from distributed.storage.results_file import Reasons, Row, reasons_to_show
from jobs.cli.display import Shown, displayed
from jobs.cli.statements import above_cohort, small_p_value, small_p_values
from jobs.pages.finished_run import FinishedRun
from jobs.pages.page import render
from jobs.pages.report.summary import summary_of
from schemas.printable import printable
from schemas.run.results import PowerResult
from schemas.wording import people, probability

TEMPLATE = "notebook.html"
MOST_SHOWN = 10
COLUMNS = ("person", "verdict", "p", "q", "score", "hits")


def table_html(title: str, rows: Sequence[tuple[str, ...]]) -> str:
    """Rows of text, the first cell of each being its name."""
    shown = [[printable(cell) for cell in row] for row in rows]
    return render(TEMPLATE, title=title, lines=(), columns=(), rows=shown, note="").decode()


def run_html(run: FinishedRun, shown: Shown) -> str:
    """The verdict, the people whom the report shows, and what could not be concluded."""
    summary, show = summary_of(run, with_faces=False), displayed(shown)
    reasons = reasons_to_show(run.people(run.headline).to_pylist(), run.results)
    listed = reasons.rows[:MOST_SHOWN]
    return render(
        TEMPLATE,
        title=f"{printable(run.results.name)}: {summary.verdict}",
        lines=[summary.counts, *_above(run), *summary.open_questions],
        columns=COLUMNS if listed else (),
        rows=[_cells(row, show(row["identity"])) for row in listed],
        note=f"{_who(reasons, len(listed), run.results.power)} {summary.warning}",
    ).decode()


def _who(reasons: Reasons, listed: int, power: PowerResult) -> str:
    if not listed:
        return f"Nobody is listed, as nobody has {small_p_value(power)}."
    small = f" {small_p_values(len(reasons.small), power)}." if reasons.small else ""
    return f"{listed} of {people(len(reasons.rows))} with a reason to be listed.{small}"


def _above(run: FinishedRun) -> Iterator[str]:
    if (above := above_cohort(run.results)) is not None:
        yield f"{above.label}: {above.whole}."


def _cells(row: Row, name: str) -> list[str]:
    hits = "" if row["hits"] is None else f"{row['hits']:,}"
    figures = (probability(row["p_value"]), probability(row["q_value"]), f"{row['score']:.3g}", hits)
    return [name, row["verdict"], *figures]
