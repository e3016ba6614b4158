"""A finished run, as Python reads it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from jobs.api.telling import at_work
from jobs.cli.display import Shown, as_stored, with_names
from jobs.cli.runs import open_to_read
from jobs.pages.finished_run import FinishedRun, read_finished
from jobs.pages.gate.gate import Finding, Gate, judge
from jobs.pages.run_tables import read_neighbours
from schemas.errors import UsageError
from schemas.run.artefacts import SETTINGS_FILE
from schemas.run.results import AuditResults, ScoreResult

if TYPE_CHECKING:
    import pandas as pd

    from jobs.pages.figure_files import FigureFile

PEOPLE_COLUMNS = ("identity", "photo", "resembles", "best_other")
TEXT_COLUMNS = ("reason",)
"""Columns that hold a person or a photo, and such that may speak of one."""


@dataclass(frozen=True, eq=False)
class Run:
    """What an audit has found. Tables have the columns of docs/run.md, and people are pseudonyms, unless the
    run was opened with `reveal`.

    finished: its files. shown: a person as stored -> as shown.
    """

    finished: FinishedRun
    shown: Shown = as_stored

    @property
    def location(self) -> str:
        """The run's folder or bucket address."""
        return self.finished.store.location

    @property
    def results(self) -> AuditResults:
        """All that `results.json` says; people are pseudonyms there."""
        return self.finished.results

    @property
    def headline(self) -> ScoreResult:
        """The recogniser and score that decide the verdicts, with what they rest on."""
        return self.finished.headline

    @property
    def flagged(self) -> tuple[str, ...]:
        """The candidates whose verdict is `leaked`."""
        return tuple(map(self.shown, self.headline.flagged))

    @property
    def verdict(self) -> str:
        """The outcome in one sentence."""
        from jobs.pages.report.summary import verdict_sentence

        return verdict_sentence(self.finished)[0]

    @cached_property
    def verdicts(self) -> pa.Table:
        """A row for each candidate, by the score that decides, most at risk first; with `per_million` and
        `over_represented`."""
        rows, rates = self.finished.people(self.headline), self.finished.rates_by_identity()
        people = rows["identity"].to_pylist()
        columns = {
            name: pa.array([rates[person][name] if person in rates else None for person in people], kind)
            for name, kind in (("per_million", pa.float64()), ("over_represented", pa.bool_()))
        }
        for name, column in columns.items():
            rows = rows.append_column(name, column)
        first = ["identity", "verdict", "p_value", "q_value", "score"]
        others = [name for name in rows.column_names if name not in first and name != "role"]
        return self._shown(rows.select(first + others))

    @cached_property
    def scores(self) -> pa.Table:
        """A row for each person × recogniser × score, the cohort's among them."""
        return self._shown(self.finished.scores)

    @cached_property
    def over_representation(self) -> pa.Table:
        """A row for each candidate × recogniser: how often samples hit the person."""
        return self._shown(self.finished.rates)

    @cached_property
    def neighbours(self) -> pa.Table:
        """The nearest samples of each person × recogniser."""
        return self._shown(read_neighbours(self.finished.store))

    @cached_property
    def photos(self) -> pa.Table:
        """A row for each photo of the gallery, with its outcome; without templates."""
        return self._shown(self.finished.photos)

    @cached_property
    def settings(self) -> pa.Table | None:
        """Of a sweep, a row for each setting × candidate × recogniser × score; None of any other run."""
        store = self.finished.store
        return self._shown(store.read_table(SETTINGS_FILE)) if store.exists(SETTINGS_FILE) else None

    def to_pandas(self) -> pd.DataFrame:
        """`verdicts` as a data frame; tables have a `to_pandas` of their own.

        Raises UsageError without pandas.
        """
        try:
            frame: pd.DataFrame = self.verdicts.to_pandas()
        except ModuleNotFoundError as error:
            raise UsageError("data frames need pandas: `pip install pandas`, or use `verdicts`") from error
        return frame

    def figures(self) -> tuple[FigureFile, ...]:
        """The report's figures, as PNG and SVG; a notebook shows them. Nobody is named in them."""
        # matplotlib and scipy.stats take a second to import.
        from jobs.pages.report.figures import draw_figures

        return tuple(draw_figures(self.finished))

    def report(self, *, with_faces: bool = False) -> str:
        """Write `report.html` and its figures into the run, as `idleak report` does; where the page is.

        with_faces: photos of those most at risk, beside samples made again. Raises what opening these raises.
        """
        from jobs.api.reporting import record_report

        reveal = self.shown is not as_stored
        with at_work(None):
            store, shown = open_to_read(self.location, "report", reveal=reveal, faces=with_faces)
            return record_report(store, with_faces=with_faces, shown=shown)

    def gate(self, fail_on: Sequence[Finding | str]) -> Gate:
        """Whether a release passes: see docs/pipelines.md. fail_on: `leaked`, `over-represented`,
        `inconclusive`. Raises UsageError for another one."""
        try:
            findings = [Finding(finding) for finding in fail_on]
        except ValueError as error:
            raise UsageError(f"{error}: a gate fails on {', '.join(Finding)}") from error
        return judge(self.finished, findings)

    def _shown(self, table: pa.Table) -> pa.Table:
        if self.shown is as_stored:
            return table
        for name in table.column_names:
            if name in (*PEOPLE_COLUMNS, *TEXT_COLUMNS):
                table = _changed(table, name, self._name_of(name))
        return table

    def _name_of(self, column: str) -> Shown:
        shown = self.shown
        return shown if column in PEOPLE_COLUMNS else lambda text: with_names(text, shown)

    def __repr__(self) -> str:
        return f"Run({self.location!r}: {self.verdict})"

    def _repr_html_(self) -> str:
        from jobs.pages.notebook import run_html

        return run_html(self.finished, self.shown)


def _changed(table: pa.Table, name: str, change: Shown) -> pa.Table:
    """The table with `change` of each text in a column; each text once."""
    texts = pc.unique(table[name]).to_pylist()
    known = {text: None if text is None else change(text) for text in texts}
    place = table.schema.get_field_index(name)
    values = pa.array([known[text] for text in table[name].to_pylist()], pa.string())
    return table.set_column(place, table.schema.field(place), values)


def open_run(location: str, *, reveal: bool = False) -> Run:
    """A finished run, by its folder or bucket address: a spec's `output`. Its audit log keeps that it was
    opened.

    reveal: show people and photos by name; needs the key.
    Raises UsageError if there is no run or it is not over, WrongRunError if it was purged, AuthorisationError
    past its day of retention, DamagedError or StoreError if a file cannot be read.
    """
    with at_work(None):
        store, shown = open_to_read(str(location), "open", reveal=reveal)
        return Run(read_finished(store), shown)
