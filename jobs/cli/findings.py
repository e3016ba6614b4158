"""Say what an audit found: the verdicts, and the people whom there is reason to show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from rich.console import Console
from rich.table import Column, Table

from distributed.storage.results_file import Reasons, people_of, read_results, reasons_to_show
from distributed.storage.store import RunStore
from jobs.cli.display import against_others, drift_text, people_made, placebo_text, roles_text, short
from jobs.cli.gallery import gallery_lines, overlap_lines
from jobs.cli.say import cell, say, say_next
from jobs.cli.statements import (
    alone_of,
    small_p_value,
    small_p_values,
    statement_lines,
    statements_of,
)
from schemas.run.artefacts import SCORES_FILE
from schemas.run.results import (
    AuditResults,
    OverRepresentedResult,
    PopulationResult,
    ScoreResult,
    SettingResult,
)
from schemas.wording import plain, refused_text

MOST_LISTED = 10
EVIDENCE = {
    "near-copy": "like a near-copy of a photo of the gallery",
    "identity": "without a near-copy of a photo of the gallery",
    "undecided": "perhaps with a copy of a photo of the gallery",
}


def print_findings(store: RunStore, *, named: bool = True) -> None:
    """Print whom there is reason to show, the verdicts, the evaluation if any, and where the files are.

    Nobody's name is among it unless `named`.
    """
    results = read_results(store)
    headline = results.scores[results.headline]
    if named:
        rows = people_of(store.read_table(SCORES_FILE), headline).to_pylist()
        _print_people(reasons_to_show(rows, results), results, headline)
    for line in summary_lines(results, headline, named=named):
        say(line)
    say(f"files: {', '.join(path for path in store.sizes() if '/' not in path)} in {store.location}")
    say_next(
        f"idleak report {store.location} writes it as a page; idleak explore {store.location} shows everybody"
    )


def _print_people(reasons: Reasons, results: AuditResults, headline: ScoreResult) -> None:
    if not reasons.rows:
        say(f"nobody is listed, as nobody has {small_p_value(results.power)}")
        return
    Console().print(_people_table(reasons, headline))
    if (count := len(reasons.rows)) > MOST_LISTED:
        say(f"listed: the first {MOST_LISTED} of {count:,} people with a reason to be")
    if reasons.small:
        say(small_p_values(len(reasons.small), results.power))


def _people_table(reasons: Reasons, headline: ScoreResult) -> Table:
    """The first MOST_LISTED, a part of the table for each reason."""
    table = Table("identity", "verdict", "p", "q", Column(cell(headline.score_name)), "hits", "photos")
    table.title = cell(f"by {headline.score_name} of {headline.recognizer}")
    flagged, above = len(reasons.flagged), len(reasons.above)
    for number, row in enumerate(reasons.rows[:MOST_LISTED], start=1):
        style = "bold red" if number <= flagged else ""
        table.add_row(
            cell(short(row["identity"])),
            cell(row["verdict"]),
            f"{row['p_value']:.4f}",
            f"{row['q_value']:.4f}",
            f"{row['score']:.4f}",
            "" if row["hits"] is None else f"{row['hits']:,}",
            str(row["photos"]),
            style=style,
            end_section=number in (flagged, flagged + above),
        )
    return table


def summary_lines(results: AuditResults, headline: ScoreResult, *, named: bool = True) -> list[str]:
    """Verdicts, power, detection rate and evaluation, a line each."""
    counts = ", ".join(f"{count} {verdict}" for verdict, count in headline.verdicts.items())
    power = results.power
    lines = [
        f"verdicts at FDR {power.fdr:g}: {counts}, of {power.candidates} candidates",
        f"cohort of {power.cohort}: smallest p-value {power.smallest_p_value:.2g}",
    ]
    lines += [f"inconclusive, {n:,}: {reason}" for reason, n in headline.inconclusive_reasons.items()]
    alone = alone_of(results)
    lines += statement_lines([*statements_of(results), *([] if alone is None else [alone])])
    lines += _named_lines(results, headline) if named else [_unnamed_line(results, headline)]
    lines += [_setting_line(setting) for setting in headline.settings]
    lines += gallery_lines(results)
    lines += _evidence_lines(results)
    if results.population is not None:
        lines.append(_population_line(results.population))
    lines += [f"warning: {drift_text(drift)}" for drift in results.drift if drift.warns]
    if results.roles is not None and results.roles.warns:
        lines.append(f"warning: {roles_text(results.roles)}")
    if results.placebo is not None and results.placebo.warns:
        lines.append(f"warning: {placebo_text(results.placebo)}")
    lines += overlap_lines(results.overlap, named=named)
    if results.ledger is not None:
        lines.append(
            f"ledger, night {results.ledger.night}: {len(results.ledger.flagged)} flagged by all nights "
            "together"
        )
    if results.samples.detection_rate is not None:
        lines.append(
            f"faces found in {results.samples.detection_rate:.1%} of {results.samples.rows:,} samples"
        )
    for role, people in (("candidates", results.candidates), ("cohort", results.cohort)):
        if people.refused:
            reasons = ", ".join(refused_text(*refused) for refused in sorted(people.refused.items()))
            lines.append(f"refused photos of the {role}: {reasons}, of {people.photos:,}")
    return lines + [_evaluation_line(score) for score in results.scores if score.evaluation is not None]


def _unnamed_line(results: AuditResults, headline: ScoreResult) -> str:
    over, alike = len(results.over_represented), len(headline.resembles)
    more = len(results.more_than_cohort)
    return (
        f"over-represented: {over}; more hits than any non-member: {more}; remarked, as their nearest "
        f"samples fit a flagged person better: {alike}"
    )


def _named_lines(results: AuditResults, headline: ScoreResult) -> Iterator[str]:
    if headline.at_floor:
        yield f"above the whole cohort: {', '.join(map(short, headline.at_floor))}"
    yield from map(_over_represented_line, results.over_represented)
    measured = (person for person in results.over_represented if person.least_margin is not None)
    yield from dict.fromkeys(map(_hit_line, measured))
    if results.more_than_cohort:
        names = ", ".join(map(short, results.more_than_cohort))
        yield f"more hits than any non-member, by a model of the cohort's tail: {names}"
    for name, other in headline.resembles.items():
        yield (
            f"remark: most of the samples nearest to {short(name)}, who is not flagged, fit {short(other)}, "
            "who is flagged, better"
        )


def _over_represented_line(person: OverRepresentedResult) -> str:
    rate = person.per_million
    if person.least_times is not None:
        return (
            f"over-represented: {short(person.identity)}, hit by {rate.value:,.0f} per million samples "
            f"(95 %: {rate.low:,.0f} to {rate.high:,.0f}), {plain(against_others(person))}"
        )
    times = "" if person.ratio is None else f", {person.ratio:,.0f} times the cohort's mean"
    return (
        f"over-represented: {short(person.identity)}, hit by {rate.value:,.0f} per million samples "
        f"(95 %: {rate.low:,.0f} to {rate.high:,.0f}){times}; p {person.model_p_value:.2g} by a model of the "
        "cohort's tail"
    )


def _hit_line(person: OverRepresentedResult) -> str:
    return (
        f"a hit by {person.recognizer} is a sample that fits the person better than anybody else by "
        f"{person.least_margin:g} or more"
    )


def _setting_line(setting: SettingResult) -> str:
    factors = ", ".join(f"{name} {value}" for name, value in setting.factors.items())
    return f"with {factors}: {len(setting.flagged)} flagged by its own {setting.samples:,} samples"


def _evidence_lines(results: AuditResults) -> list[str]:
    counts = Counter(evidence.kind for evidence in results.evidence)
    return (
        [f"evidence of the flagged: {', '.join(f'{n} {EVIDENCE[kind]}' for kind, n in counts.items())}"]
        if counts
        else []
    )


def _population_line(population: PopulationResult) -> str:
    matches = f"{population.collisions:,} pairs of {population.samples:,} samples match"
    return f"{plain(people_made(population))}; {matches}"


def _evaluation_line(score: ScoreResult) -> str:
    assert score.evaluation is not None
    auc = score.evaluation.roc_auc
    return (
        f"against the labels, {score.score_name} of {score.recognizer}: ROC AUC {auc.value:.3f} "
        f"({auc.low:.3f} to {auc.high:.3f}), {len(score.flagged)} flagged"
    )
