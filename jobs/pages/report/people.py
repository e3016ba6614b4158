"""The people most at risk, each with the evidence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from jobs.cli.display import Shown, between, sentence
from jobs.pages.finished_run import FinishedRun, Row
from jobs.pages.page import Face, Person, Section
from jobs.pages.run_tables import read_neighbours
from schemas.run.results import EvidenceResult, Interval
from schemas.run.tables import Verdict
from schemas.wording import PERCENT, probability, rate

LEAST_SHOWN, MOST_SHOWN = 10, 50
SAMPLES_SHOWN = 5

COPIES = {
    "near-copy": "The same photo, a near-copy: sample {sample} looks like photo {photo} (similarity "
    "{near:.3f}).",
    "identity": "The same person, no near-copy of a photo of the gallery: sample {sample} is nearest to "
    "photo {photo}, with similarity {near:.3f}.",
    "undecided": "Undecided, perhaps a copy of photo {photo}: sample {sample} is nearest to it (similarity "
    "{near:.3f}), and the pictures do not settle it.",
}
ERRORS = (
    " Two photos of one person are called the same one for at most 1{percent} of people like the cohort's."
)
RECURS = " It recurs: {count} of the nearest samples are that photo (a template copy)."


def people_at_risk(run: FinishedRun) -> list[Row]:
    """Rows of `scores.parquet`: all whom the headline flags, and at least LEAST_SHOWN, at most MOST_SHOWN."""
    flagged = run.headline.verdicts[Verdict.LEAKED]
    rows: list[Row] = run.people(run.headline).to_pylist()
    order = sorted(rows, key=lambda row: row["verdict"] != Verdict.LEAKED)
    return order[: min(MOST_SHOWN, max(LEAST_SHOWN, flagged))]


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


def people_section(
    run: FinishedRun,
    rows: Sequence[Row],
    nearest: Mapping[str, Sequence[Row]],
    show: Shown,
    faces: Mapping[str, Sequence[Face]],
) -> Section:
    """faces: identity -> pictures; empty for a report without faces."""
    rates = run.rates_by_identity()
    evidence = {result.identity: result for result in run.results.evidence}
    all_ = run.results.power.candidates
    text = [
        f"The {len(rows):,} with the smallest p-values of {all_:,}, by {run.headline.score_name} of "
        f"{run.headline.recognizer}; who is flagged comes first. All are in scores.parquet.",
        *_meanings(run.least_margin),
    ]
    return Section(
        title="People most at risk" if run.headline.flagged else "People with the smallest p-values",
        text=text,
        people=[
            Person(
                name=show(row["identity"]),
                verdict=row["verdict"],
                facts=list(_facts(row, rates.get(row["identity"]), run.headline.score_name)),
                notes=list(
                    _notes(row, rates.get(row["identity"]), evidence.get(row["identity"]), nearest, show)
                ),
                faces=faces.get(row["identity"], ()),
            )
            for row in rows
        ],
    )


def _meanings(least_margin: float | None) -> Iterator[str]:
    if least_margin is not None:
        yield (
            "The margin of a sample is its similarity to the person less that to the people of the gallery "
            "whom it fits best besides. A hit is a sample that fits the person better than anybody else by "
            f"{least_margin:g} or more."
        )


def _facts(row: Row, hits: Row | None, score_name: str) -> Iterator[tuple[str, str]]:
    yield "p-value", probability(row["p_value"])
    yield "q-value", probability(row["q_value"])
    yield f"score {score_name}", f"{row['score']:.3f}"
    if hits is not None:
        yield "cohort's mean hits per million", rate(hits["expected_per_million"])
        yield "hits per million samples", between(per_million(hits), rate)
        if hits["share_at_most"] is not None:
            yield "in samples per million, at most", rate(hits["share_at_most"] * 1e6)


def per_million(hits: Row) -> Interval:
    """Of a row of `over_representation.parquet`."""
    return Interval(value=hits["per_million"], low=hits["per_million_low"], high=hits["per_million_high"])


def _notes(
    row: Row,
    hits: Row | None,
    evidence: EvidenceResult | None,
    nearest: Mapping[str, Sequence[Row]],
    show: Shown,
) -> Iterator[str]:
    if hits is not None and hits["over_represented"] and hits["least_times"] is not None:
        yield (
            f"Over-represented: with 95{PERCENT} confidence hit at least {hits['least_times']:,.3g} times as "
            "often as the median of the others who are flagged or have more hits than any non-member, or of "
            "all other candidates if there are no such."
        )
    if hits is not None and hits["more_than_cohort"]:
        yield (
            "More hits than any non-member: more than the spread of the cohort's explains, p "
            f"{probability(hits['model_p_value'])} by a model of its tail."
        )
    elif hits is not None and hits["over_represented"] and hits["least_times"] is None:
        yield (
            f"Over-represented: more hits than the spread of the cohort's explains, p "
            f"{probability(hits['model_p_value'])} by a model of its tail."
        )
    if row["reason"] is not None:
        yield sentence(row["reason"])
    if row["resembles"] is not None:
        yield f"Most of the samples nearest to this person fit {show(row['resembles'])} better."
    if evidence is not None:
        yield copy_or_person(evidence, show)
    samples = nearest[row["identity"]]
    if samples:
        known = "" if samples[0]["margin"] is None else " and margin"
        yield f"Nearest samples, with similarity{known}: {', '.join(map(_sample_text, samples))}."


def _sample_text(row: Row) -> str:
    """Of a row of `neighbours.parquet`: the sample, its similarity and its margin, if that is known."""
    margin = "" if row["margin"] is None else f", {row['margin']:+.3f}"
    return f"{row['sample_id']} ({row['similarity']:.3f}{margin})"


def copy_or_person(evidence: EvidenceResult, show: Shown) -> str:
    """What a flag rests on, in a sentence or two."""
    text = COPIES[evidence.kind].format(
        sample=evidence.sample_id, photo=show(evidence.photo), near=evidence.similarity
    )
    if evidence.kind != "near-copy" or evidence.recurs is None:
        return text  # version 0.1 held pictures against those of other people
    recurs = RECURS.format(count=evidence.recurs) if evidence.recurs > 1 else ""
    return text + ERRORS.format(percent=PERCENT) + recurs
