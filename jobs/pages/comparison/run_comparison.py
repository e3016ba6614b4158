"""Two finished runs of one gallery: who comes out differently."""

from __future__ import annotations

from dataclasses import dataclass

from distributed.storage.results_file import Row, reasons_to_show
from jobs.pages.comparison.comparability import refusal, require_comparable, warnings_about
from jobs.pages.finished_run import FinishedRun
from schemas.errors import WrongRunError
from schemas.run.comparison import UnlearnedResult
from schemas.run.tables import Verdict
from schemas.wording import rate

NAMES = ("A", "B")


@dataclass(frozen=True)
class PersonPair:
    """One candidate in both runs. hits: rows of `over_representation.parquet`."""

    identity: str
    first: Row
    second: Row
    hits_first: Row
    hits_second: Row

    @property
    def is_leaked(self) -> tuple[bool, bool]:
        return self.first["verdict"] == Verdict.LEAKED, self.second["verdict"] == Verdict.LEAKED

    @property
    def has_changed(self) -> bool:
        return bool(self.first["verdict"] != self.second["verdict"])

    @property
    def more_often(self) -> str:
        """The run that hits this person more often, if the 95 % intervals are apart; else nothing.

        Nothing either if a hit is not the same in both."""
        if self.hits_first["least_margin"] != self.hits_second["least_margin"]:
            return ""
        if self.hits_first["per_million_low"] > self.hits_second["per_million_high"]:
            return NAMES[0]
        return NAMES[1] if self.hits_second["per_million_low"] > self.hits_first["per_million_high"] else ""


@dataclass(frozen=True)
class RunComparison:
    """pairs: flagged by both, then by one, then other changes of verdict, then the rest by smallest p.

    unlearned: what became of people who were to be removed; None if nobody was.
    """

    first: FinishedRun
    second: FinishedRun
    pairs: list[PersonPair]
    warnings: list[str]
    unlearned: UnlearnedResult | None = None

    @property
    def shown(self) -> list[PersonPair]:
        """Those whom there is reason to show in at least one of the runs."""
        reasons = {
            row["identity"]
            for run in (self.first, self.second)
            for row in reasons_to_show(run.people(run.headline).to_pylist(), run.results).rows
        }
        return [pair for pair in self.pairs if pair.identity in reasons]

    def leaked(self, first: bool, second: bool) -> list[PersonPair]:
        """Who is flagged by the runs so marked, and not by the other."""
        return [pair for pair in self.pairs if pair.is_leaked == (first, second)]


def compare_runs(first: FinishedRun, second: FinishedRun) -> RunComparison:
    """Raises WrongRunError, with what differs, for runs whose numbers do not mean the same."""
    require_comparable(first, second)
    sides = []
    for run in (first, second):
        rows = {person["identity"]: person for person in run.people(run.headline).to_pylist()}
        sides.append((rows, run.rates_by_identity()))
    (rows, hits), (others, other_hits) = sides
    if rows.keys() != others.keys():
        raise WrongRunError(refusal(first, second, ["their candidates are not the same people"]))
    pairs = [PersonPair(name, rows[name], others[name], hits[name], other_hits[name]) for name in rows]
    return RunComparison(first, second, sorted(pairs, key=_order), list(warnings_about(first, second)))


def _order(person_pair: PersonPair) -> tuple[int, bool, float, str]:
    smallest = min(person_pair.first["p_value"], person_pair.second["p_value"])
    return -sum(person_pair.is_leaked), not person_pair.has_changed, smallest, person_pair.identity


def hits_text(hits: Row) -> str:
    low, high = rate(hits["per_million_low"]), rate(hits["per_million_high"])
    return f"{rate(hits['per_million'])} ({low} to {high})"
