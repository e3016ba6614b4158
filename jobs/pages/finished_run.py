"""The tables of a finished run, as those who read them need them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from distributed.storage.results_file import Row, people_of, read_results
from distributed.storage.store import RunStore
from jobs.pages.run_tables import read_photos, read_rates, read_scores
from schemas.errors import UsageError
from schemas.run.artefacts import RESULTS_FILE
from schemas.run.results import AuditResults, ScoreResult
from schemas.run.tables import Role


@dataclass(frozen=True)
class FinishedRun:
    """What a run says of its people. photos: the gallery without its templates."""

    store: RunStore
    results: AuditResults
    scores: pa.Table
    rates: pa.Table
    photos: pa.Table

    @property
    def headline(self) -> ScoreResult:
        return self.results.scores[self.results.headline]

    @property
    def recognizer(self) -> str:
        """That of the headline; the first one if the headline combines several."""
        names = [recognizer.name for recognizer in self.results.recognizers]
        return self.headline.recognizer if self.headline.recognizer in names else names[0]

    def people(self, score: ScoreResult, role: Role = Role.CANDIDATE) -> pa.Table:
        """Rows of `scores.parquet` of one recogniser × score and one side; candidates most at risk first."""
        return people_of(self.scores, score, role)

    def rates_by_identity(self) -> dict[str, Row]:
        """Identity -> its row of `over_representation.parquet`, by `recognizer`."""
        rates = self.rates.filter(pc.equal(self.rates["recognizer"], self.recognizer))
        return {row["identity"]: row for row in rates.to_pylist()}

    @property
    def least_margin(self) -> float | None:
        """Of a hit, by `recognizer`; None in a run of version 0.1."""
        rates = self.rates.filter(pc.equal(self.rates["recognizer"], self.recognizer))
        margin: float | None = pc.max(rates["least_margin"]).as_py()
        return margin


def read_finished(store: RunStore) -> FinishedRun:
    """Raises UsageError if the run is not over, StoreError or DamagedError if a file cannot be read."""
    require_results(store)
    return FinishedRun(
        store,
        read_results(store),
        read_scores(store),
        read_rates(store),
        read_photos(store),
    )


def require_results(store: RunStore) -> None:
    """Raises UsageError if the run is not over."""
    if not store.exists(RESULTS_FILE):
        raise UsageError(f"{store.location} has no {RESULTS_FILE}: run `idleak audit` to its end first")


def column(table: pa.Table, name: str) -> NDArray[np.float64]:
    """A column of numbers, NaN for null."""
    values: NDArray[np.float64] = table[name].cast(pa.float64()).to_numpy()
    return values
