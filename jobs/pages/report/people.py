"""The people whom there is reason to show, each with the evidence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from distributed.storage.results_file import Row, reasons_to_show
from jobs.cli.display import Shown, against_others, between, sentence
from jobs.cli.statements import above_cohort, small_p_value, small_p_values
from jobs.pages.finished_run import FinishedRun
from jobs.pages.page import Face, Person, Section
from jobs.pages.run_tables import read_neighbours
from schemas.run.results import EvidenceResult, Interval, OverRepresentedResult
from schemas.wording import PERCENT, people, probability, rate

MOST_SHOWN = 50
SAMPLES_SHOWN = 5
EVERYBODY = "Everybody is in scores.parquet, and on the pages of idleak explore."

COPIES = {
    "near-copy": "The same photo, a near-copy: sample {sample} looks like photo {photo}.",
    "identity": "The same person, no near-copy of a photo of the gallery: sample {sample}, the nearest to "
    "one of them ({photo}), is another picture.",
    "undecided": "Perhaps a copy of photo {photo}: sample {sample} is the nearest to it, and the pictures do "
    "not settle whether it is one.",
}
ERRORS = (
    " Two photos of one person are called the same one for at most 1{percent} of people like the cohort's."
)
RECURS = " It recurs: {count} of the nearest samples are that photo (a template copy)."


def people_at_risk(run: FinishedRun) -> list[Row]:
    """Rows of `scores.parquet`, at most MOST_SHOWN: whom the headline flags, who scores above the whole
    cohort, and whose p-value is small, in this order. Of nobody else there is reason to show a face."""
    return reasons_to_show(run.people(run.headline).to_pylist(), run.results).rows[:MOST_SHOWN]


def nearest_of(run: FinishedRun, rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Identity -> its SAMPLES_SHOWN nearest samples, rows of `neighbours.parquet`."""
    table = read_neighbours(run.store)
    wanted = pc.and_(
        pc.equal(table["recognizer"], run.recognizer),
        pc.is_in(table["identity"], pa.array([row["identity"] for row in rows], pa.string())),
    )
    order = [("similarity", "descending"), ("sample_id", "ascending")]
    nearest: dict[str, list[Row]] = {row["identity"]: [] for row in rows}
    for row in table.filter(wanted).sort_by(order).to_pylist():
        if len(nearest[row["identity"]]) < SAMPLES_SHOWN:
            nearest[row["identity"]].append(row)
    return nearest


def people_sections(
    run: FinishedRun,
    rows: Sequence[Row],
    nearest: Mapping[str, Sequence[Row]],
    show: Shown,
    faces: Mapping[str, Sequence[Face]],
) -> Iterator[Section]:
    """One for each reason to be shown. faces: identity -> pictures; empty for a report without faces."""
    reasons = reasons_to_show(rows, run.results)
    people_shown = _People(run, nearest, show, faces)
    meanings = _meanings(run.least_margin)
    if reasons.flagged:
        text = [_flagged_text(run, len(reasons.flagged)), *meanings]
        yield Section("People flagged as leaked", text, people_shown.cards(reasons.flagged))
    if reasons.above and (statement := above_cohort(run.results)) is not None:
        text = [f"{people(len(reasons.above))} {statement.whole}. {EVERYBODY}", *meanings]
        cards = people_shown.cards(reasons.above)
        yield Section("People above the whole cohort, who cannot be flagged", text, cards)
    if reasons.small:
        text = [f"{_small_text(run, len(reasons.small))} {EVERYBODY}", *meanings]
        yield Section("Others with small p-values", text, people_shown.cards(reasons.small))
    if not rows:
        text = [f"Nobody is shown here, as nobody has {small_p_value(run.results.power)}. {EVERYBODY}"]
        yield Section("People", text)


def _flagged_text(run: FinishedRun, shown: int) -> str:
    headline = run.headline
    first = "" if shown == len(headline.flagged) else f", the {shown:,} with the smallest p-values"
    return (
        f"{len(headline.flagged):,} of {people(run.results.power.candidates)}{first}, by the score "
        f"{headline.score_name} of the recogniser {headline.recognizer}. {EVERYBODY}"
    )


def _small_text(run: FinishedRun, shown: int) -> str:
    """Of all of them, also of those for whom there is no room."""
    small = reasons_to_show(run.people(run.headline).to_pylist(), run.results).small
    first = "" if shown == len(small) else f" The first {shown:,} of them are shown."
    return f"{small_p_values(len(small), run.results.power)}.{first}"


@dataclass(frozen=True)
class _People:
    """What is known of each person. faces: of some, or of nobody."""

    run: FinishedRun
    nearest: Mapping[str, Sequence[Row]]
    show: Shown
    faces: Mapping[str, Sequence[Face]]

    def cards(self, rows: Sequence[Row]) -> list[Person]:
        rates = self.run.rates_by_identity()
        return [
            Person(
                name=self.show(row["identity"]),
                verdict=row["verdict"],
                facts=list(_facts(row, rates.get(row["identity"]), self.run.headline.score_name)),
                notes=list(self._notes(row, rates.get(row["identity"]))),
                faces=self.faces.get(row["identity"], ()),
            )
            for row in rows
        ]

    def _notes(self, row: Row, hits: Row | None) -> Iterator[str]:
        identity, results = row["identity"], self.run.results
        if hits is not None:
            yield from _hit_notes(hits, results.over_represented)
        if row["reason"] is not None:
            yield sentence(row["reason"])
        if row["resembles"] is not None:
            yield f"Most of the samples nearest to this person fit {self.show(row['resembles'])} better."
        for evidence in results.evidence:
            if evidence.identity == identity:
                yield copy_or_person(evidence, self.show)
        if (samples := self.nearest[identity]) and not self.faces.get(identity):
            listed = (f"{sample['sample_id']} ({nearness(sample)})" for sample in samples)
            yield f"Nearest samples: {', '.join(listed)}."


def _meanings(least_margin: float | None) -> Iterator[str]:
    if least_margin is None:
        yield "With the number of a sample stands its similarity to the person."
        return
    yield (
        "With the number of a sample stand its similarity to the person and its margin: the similarity less "
        "that to the people of the gallery whom it fits best besides. A hit is a sample that fits the person "
        f"better than anybody else by {least_margin:g} or more."
    )


def _facts(row: Row, hits: Row | None, score_name: str) -> Iterator[tuple[str, str]]:
    yield "p-value", probability(row["p_value"])
    yield "q-value", probability(row["q_value"])
    yield f"score {score_name}", f"{row['score']:.3f}"
    if hits is not None:
        yield "hits per million in the cohort", rate(hits["expected_per_million"])
        yield "hits per million samples", between(per_million(hits), rate)
        if hits["share_at_most"] is not None:
            yield "shown in, per million, at most", rate(hits["share_at_most"] * 1e6)


def per_million(hits: Row) -> Interval:
    """Of a row of `over_representation.parquet`."""
    return Interval(value=hits["per_million"], low=hits["per_million_low"], high=hits["per_million_high"])


def _hit_notes(hits: Row, over_represented: Sequence[OverRepresentedResult]) -> Iterator[str]:
    tail = f"p {probability(hits['model_p_value'])} by a model of its tail."
    held_against = [
        person
        for person in over_represented
        if (person.identity, person.recognizer) == (hits["identity"], hits["recognizer"])
        and person.least_times is not None
    ]
    yield from (f"Over-represented: hit {against_others(person)}." for person in held_against)
    if hits["more_than_cohort"]:
        yield f"More hits than any non-member: more than the spread of the cohort's explains, {tail}"
    elif hits["over_represented"] and not held_against:
        yield f"Over-represented: more hits than the spread of the cohort's explains, {tail}"


def nearness(row: Row) -> str:
    """Of a row of `neighbours.parquet`: similarity, and margin, if that is known."""
    margin = "" if row["margin"] is None else f", {row['margin']:+.3f}"
    return f"{row['similarity']:.3f}{margin}"


def copy_or_person(evidence: EvidenceResult, show: Shown) -> str:
    """What a flag rests on, in a sentence or two."""
    text = COPIES[evidence.kind].format(sample=evidence.sample_id, photo=show(evidence.photo))
    if evidence.kind != "near-copy" or evidence.recurs is None:
        return text  # version 0.1 held pictures against those of other people
    recurs = RECURS.format(count=evidence.recurs) if evidence.recurs > 1 else ""
    return text + ERRORS.format(percent=PERCENT) + recurs
