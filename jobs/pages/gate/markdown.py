"""A gate as Markdown, for the summary of a job or a comment."""

from __future__ import annotations

from collections.abc import Iterator

from jobs.cli.display import short
from jobs.cli.statements import above_cohort
from jobs.pages.gate.gate import Gate, Judged
from schemas.wording import plain

LONGEST = 50
"""Rows of the table of findings; GitHub cuts a summary off at a megabyte."""


def markdown(gate: Gate) -> str:
    """The verdicts in numbers, and the people with findings under the beginning of their pseudonyms."""
    return "\n".join(_lines(gate)) + "\n"


def _lines(gate: Gate) -> Iterator[str]:
    results, headline = gate.run.results, gate.run.headline
    power = results.power
    yield f"## idleak: {_escaped(results.name)}: {_outcome(gate)}"
    yield ""
    yield f"{results.samples.rows:,} samples, {power.candidates:,} candidates, a cohort of {power.cohort:,}, "
    yield f"false-discovery rate {power.fdr:g}, by {headline.score_name} of {_escaped(headline.recognizer)}."
    yield ""
    yield "| verdict | candidates |"
    yield "|---|---:|"
    yield from (f"| {verdict} | {count:,} |" for verdict, count in headline.verdicts.items())
    yield f"| over-represented, whatever the verdict | {len(results.over_represented):,} |"
    yield ""
    yield from (
        f"* inconclusive, {count:,}: {_escaped(reason)}"
        for reason, count in headline.inconclusive_reasons.items()
    )
    if (above := above_cohort(results)) is not None:
        yield f"* {plain(f'{above.label[0].lower()}{above.label[1:]}: {above.whole}')}"
    yield from _table([person for person in gate.people if person.failures])


def _outcome(gate: Gate) -> str:
    if not gate.fail_on:
        return "no gate"
    return f"{'passed' if gate.passed else 'failed'}, on {', '.join(gate.fail_on)}"


def _table(people: list[Judged]) -> Iterator[str]:
    if not people:
        return
    yield ""
    yield "| person | why the gate failed |"
    yield "|---|---|"
    for person in people[:LONGEST]:
        texts = [_escaped(person.findings[finding]) for finding in person.failures]
        yield f"| `{_escaped(short(person.identity))}` | {'; '.join(texts)} |"
    if len(people) > LONGEST:
        yield f"\n{len(people) - LONGEST:,} more are in the run."


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|").replace("`", "'")
