"""Questions to a finished run's tables, answered by a DuckDB that can reach nothing but them."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import duckdb
import pyarrow as pa

from distributed.storage.results_file import read_results
from distributed.storage.store import RunStore
from jobs.cli.display import Shown, as_stored, displayed
from jobs.pages.explorer.question import IdentityQuestion, ListQuestion, Sort
from jobs.pages.finished_run import require_results
from jobs.pages.run_tables import compared_photos, read_neighbours, read_photos, read_rates, read_scores
from schemas.errors import QuestionError
from schemas.run.results import EvidenceResult, OperatingPointResult

PAGE_ROWS, PAGE_SAMPLES = 50, 24
Row = Mapping[str, Any]
CONFIGURATION: dict[str, Any] = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
}
LOCKS = (
    "SET python_enable_replacements = false",
    "SET enable_external_access = false",
    "SET lock_configuration = true",
)
ORDERS: Mapping[Sort, str] = {name: name for name in get_args(Sort)} | {
    "identity": "shown",
    "verdict": "CASE verdict WHEN 'leaked' THEN 0 WHEN 'inconclusive' THEN 1 WHEN 'not detected' THEN 2 END",
}
CONDITIONS = {
    "find": "(contains(searched, $find) OR starts_with(identity, $find))",
    "role": "role = $role",
    "verdict": "verdict = $verdict",
    "recognizer": "recognizer = $recognizer",
    "score_name": "score_name = $score_name",
    "stratum": "stratum = $stratum",
    "p_from": "p_value >= $p_from",
    "p_to": "p_value <= $p_to",
    "q_from": "q_value >= $q_from",
    "q_to": "q_value <= $q_to",
}
RATES = (
    "least_margin, per_million, per_million_low, per_million_high, expected_per_million, ratio, "
    "over_represented"
)
LISTED = f"""(
    SELECT s.*, people.shown, people.searched, {RATES}
    FROM scores AS s JOIN people USING (identity)
    LEFT JOIN over_representation AS o ON o.identity = s.identity AND o.recognizer = s.recognizer)"""
NEAREST = """(
    SELECT sample_id, similarity, margin, best_other
    FROM neighbours WHERE identity = $identity AND recognizer = $recognizer)"""


@dataclass(frozen=True)
class Page:
    """Some rows of an answer: those of page `number` of `pages`, counted from 1, of `total` rows."""

    rows: Sequence[Row]
    total: int
    number: int
    pages: int


@dataclass(frozen=True)
class Beside:
    """What comes before and after, in an order; None at its ends."""

    previous: str | int | None
    following: str | int | None


@dataclass(frozen=True)
class SampleOfPerson:
    """How a sample compares with a person, and the person's samples that are next nearest."""

    similarity: float
    margin: float | None
    beside: Beside


class Explorer:
    """A finished run's tables, in memory. May be asked by several threads."""

    def __init__(self, store: RunStore, shown: Shown = as_stored) -> None:
        """shown: an identity as it is stored -> as it is shown, and searched for.

        Raises SpecError if the run is not over, StoreError or DamagedError if a file cannot be read.
        """
        require_results(store)
        self.results = read_results(store)
        self.show = displayed(shown)
        self.headline = self.results.scores[self.results.headline]
        tables = {
            "scores": read_scores(store),
            "neighbours": read_neighbours(store),
            "over_representation": read_rates(store),
        }
        identities = pa.concat_tables(tables[name].select(["identity"]) for name in ("scores", "neighbours"))
        tables["people"] = _people(identities["identity"].unique().to_pylist(), self.show)
        known = set(tables["people"]["identity"].to_pylist())
        photos = compared_photos(read_photos(store))
        self._photos = {identity: of_person for identity, of_person in photos.items() if identity in known}
        self._database = _database(tables)
        self.recognizers = self._values("scores", "recognizer")
        self.score_names = self._values("scores", "score_name")
        self.strata = self._values("scores", "stratum")
        self.compared_by = self._values("neighbours", "recognizer")

    def close(self) -> None:
        """Free the tables. Nothing can be asked any more."""
        self._database.close()
        # aiohttp keeps handlers in a cache of its module, and by them all that they know until Python ends,
        # where DuckDB takes a connection that is still there for a leak, and says so on stderr.
        del self._database

    def completed(self, question: ListQuestion) -> ListQuestion:
        """With the headline's recogniser and score where none is named. Raises QuestionError."""
        given = question.model_dump()
        given["recognizer"] = _or(question.recognizer, self.headline.recognizer)
        given["score_name"] = _or(question.score_name, self.headline.score_name)
        known = {"recognizer": self.recognizers, "score_name": self.score_names, "stratum": self.strata}
        for name, values in known.items():
            if given[name] and given[name] not in values:
                raise QuestionError(f"{name}: this run has none of that name")
        return ListQuestion.model_validate(given)

    def listed(self, question: ListQuestion) -> Page:
        """Scores with the rates of over-representation; `question` completed."""
        given = question.model_dump(include=set(CONDITIONS))
        values = {name: value for name, value in given.items() if value not in (None, "")}
        if question.find:
            values["find"] = folded(question.find)
        conditions = " AND ".join(CONDITIONS[name] for name in values) or "true"
        order = (
            f"{ORDERS[question.sort]} {question.order} NULLS LAST, "
            "p_value, score DESC, identity, recognizer, score_name, stratum, photos"
        )
        return self._page(f"{LISTED} WHERE {conditions}", order, values, question.page, PAGE_ROWS)

    def identity(self, identity: str) -> list[Row]:
        """All scores of a person, the headline's first; none for one who is not in the run."""
        values = {"identity": identity, **self._headline_names()}
        order = (
            "(recognizer = $recognizer AND score_name = $score_name) DESC, recognizer = $recognizer DESC, "
            "recognizer, score_name, stratum, photos"
        )
        return self._ask(f"FROM {LISTED} WHERE identity = $identity ORDER BY {order}", values)

    def evidence(self, identity: str) -> EvidenceResult | None:
        """What the flag of a person rests on; None for one who is not flagged."""
        return next((result for result in self.results.evidence if result.identity == identity), None)

    def comparing(self, recognizer: str | None) -> str | None:
        """The recogniser whose neighbours are meant; None if nothing was compared. Raises QuestionError."""
        if recognizer is not None and recognizer not in self.compared_by:
            raise QuestionError("recognizer: this run has no neighbours by one of that name")
        if recognizer is None and self.headline.recognizer in self.compared_by:
            return self.headline.recognizer
        return recognizer or next(iter(self.compared_by), None)

    def nearest(self, question: IdentityQuestion, recognizer: str | None) -> Page:
        """Samples near a person, nearest first."""
        values = {"identity": question.id, "recognizer": recognizer}
        return self._page(NEAREST, "similarity DESC, sample_id", values, question.page, PAGE_SAMPLES)

    def near_sample(self, sample_id: int) -> list[Row]:
        """Whose nearest samples this is one of: people by recogniser, the most similar first."""
        sql = """
            SELECT n.recognizer, n.identity, any_value(shown) AS shown, any_value(similarity) AS similarity,
                any_value(margin) AS margin, any_value(best_other) AS best_other,
                any_value(role) AS role, any_value(verdict) AS verdict
            FROM neighbours AS n JOIN people USING (identity)
            LEFT JOIN scores AS s ON s.identity = n.identity AND s.recognizer = $recognizer
                AND s.score_name = $score_name
            WHERE n.sample_id = $sample_id GROUP BY n.recognizer, n.identity
            ORDER BY n.recognizer, similarity DESC, n.identity"""
        return self._ask(sql, {"sample_id": sample_id, **self._headline_names()})

    def beside(self, identity: str) -> Beside:
        """Who comes before and after a person in the list of their side, most at risk first."""
        sql = """
            WITH listed AS (
                SELECT identity, lag(identity) OVER by_risk AS previous,
                    lead(identity) OVER by_risk AS following
                FROM scores WHERE recognizer = $recognizer AND score_name = $score_name
                WINDOW by_risk AS (PARTITION BY role ORDER BY p_value NULLS LAST, score DESC, identity))
            FROM listed WHERE identity = $identity"""
        rows = self._ask(sql, {"identity": identity, **self._headline_names()})
        return Beside(rows[0]["previous"], rows[0]["following"]) if rows else Beside(None, None)

    def samples_beside(self, identity: str, sample_id: int, recognizer: str | None) -> SampleOfPerson | None:
        """A sample among those near a person, and what is beside it in that list; None if it is not there."""
        sql = """
            WITH near AS (
                SELECT *, lag(sample_id) OVER nearest AS previous, lead(sample_id) OVER nearest AS following
                FROM neighbours WHERE identity = $identity AND recognizer = $recognizer
                WINDOW nearest AS (ORDER BY similarity DESC, sample_id))
            FROM near WHERE sample_id = $sample_id"""
        rows = self._ask(sql, {"identity": identity, "sample_id": sample_id, "recognizer": recognizer})
        if not rows:
            return None
        row = rows[0]
        return SampleOfPerson(row["similarity"], row["margin"], Beside(row["previous"], row["following"]))

    def most_similar(self) -> list[Row]:
        """Each person whom samples were compared with, their verdict, and the sample most similar to them."""
        sql = """
            SELECT s.identity, s.role, s.verdict, n.sample_id
            FROM scores AS s JOIN neighbours AS n USING (identity)
            WHERE s.recognizer = $recognizer AND s.score_name = $score_name AND n.recognizer = $compared_by
            QUALIFY row_number() OVER (PARTITION BY s.identity ORDER BY similarity DESC, sample_id) = 1
            ORDER BY s.identity"""
        return self._ask(sql, {**self._headline_names(), "compared_by": self.comparing(None)})

    def threshold(self, recognizer: str | None) -> OperatingPointResult | None:
        """The similarity that photos of two people seldom reach; None if the run does not know it."""
        named = (each for each in self.results.recognizers if each.name == recognizer)
        return next((each.operating_point for each in named), None)

    def _headline_names(self) -> dict[str, str]:
        return {"recognizer": self.headline.recognizer, "score_name": self.headline.score_name}

    def is_near(self, sample_id: int) -> bool:
        """Whether anybody's neighbours name this sample."""
        sql = "SELECT 1 AS found FROM neighbours WHERE sample_id = $sample_id LIMIT 1"
        return bool(self._ask(sql, {"sample_id": sample_id}))

    def photos(self, identity: str) -> Sequence[str]:
        """The photos of a person whom samples were compared with; none of somebody erased or left out."""
        return self._photos.get(identity, ())

    def is_compared(self, identity: str, photo: str) -> bool:
        """Whether this is a photo of a person whom samples were compared with."""
        return photo in self.photos(identity)

    def _values(self, table: str, column: str) -> list[str]:
        rows = self._ask(f"SELECT DISTINCT {column} AS value FROM {table} ORDER BY value", {})
        return [row["value"] for row in rows]

    def _page(self, source: str, order: str, values: Mapping[str, Any], number: int, rows: int) -> Page:
        """Page `number` of the rows of `source`; the last one if there are fewer."""
        total: int = self._ask(f"SELECT count(*) AS total FROM {source}", values)[0]["total"]
        pages = max(1, -(-total // rows))
        number = min(number, pages)
        limits = {"rows": rows, "first": (number - 1) * rows}
        sql = f"FROM {source} ORDER BY {order} LIMIT $rows OFFSET $first"
        return Page(self._ask(sql, {**values, **limits}), total, number, pages)

    def _ask(self, sql: str, values: Mapping[str, Any]) -> list[Row]:
        with self._database.cursor() as cursor:
            cursor.execute(sql, dict(values))
            names = [column[0] for column in cursor.description or ()]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def folded(text: str) -> str:
    """Text as it is searched for: in any case, in one form of Unicode."""
    return unicodedata.normalize("NFC", text).casefold()


def _or(given: str | None, default: str) -> str:
    return default if given is None else given


def _people(identities: Sequence[str], shown: Shown) -> pa.Table:
    names = [shown(identity) for identity in identities]
    columns = {"identity": identities, "shown": names, "searched": [folded(name) for name in names]}
    return pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()})


def _database(tables: Mapping[str, pa.Table]) -> duckdb.DuckDBPyConnection:
    """The tables in DuckDB's own form, and then no way out of it, nor in."""
    database = duckdb.connect(":memory:", config=CONFIGURATION)
    for name, table in tables.items():
        database.register("given", table)
        database.execute(f"CREATE TABLE {name} AS FROM given ORDER BY identity")
        database.unregister("given")
    for lock in LOCKS:
        database.execute(lock)
    return database
