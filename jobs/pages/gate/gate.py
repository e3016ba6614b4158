"""What a release pipeline asks of an audit: is there a finding that stops the release?"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from jobs.pages.finished_run import FinishedRun
from schemas.run.results import OverRepresentedResult
from schemas.run.tables import Verdict


class Finding(StrEnum):
    """What `--fail-on` may name."""

    LEAKED = "leaked"
    OVER_REPRESENTED = "over-represented"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True)
class Judged:
    """One candidate, under the pseudonym that the run knows, by the headline score.

    findings: those that hold for the person. failures: those of them that the gate fails on.
    """

    identity: str
    verdict: Verdict
    p_value: float
    q_value: float
    findings: Mapping[Finding, str]
    failures: tuple[Finding, ...]


@dataclass(frozen=True)
class Gate:
    """The candidates of a run, most at risk first, and what the gate makes of them."""

    run: FinishedRun
    fail_on: tuple[Finding, ...]
    people: tuple[Judged, ...]

    @property
    def passed(self) -> bool:
        return not any(person.failures for person in self.people)


def judge(run: FinishedRun, fail_on: Collection[Finding]) -> Gate:
    """Hold a finished run against the findings that a release may not have."""
    over = {person.identity: person for person in run.results.over_represented}
    wanted = tuple(finding for finding in Finding if finding in fail_on)
    rows = run.people(run.headline).to_pylist()
    return Gate(run, wanted, tuple(_judged(row, over.get(row["identity"]), wanted) for row in rows))


def _judged(
    row: Mapping[str, Any], over: OverRepresentedResult | None, fail_on: tuple[Finding, ...]
) -> Judged:
    findings = dict(_findings(row, over))
    failures = tuple(finding for finding in findings if finding in fail_on)
    verdict = Verdict(row["verdict"])
    return Judged(row["identity"], verdict, row["p_value"], row["q_value"], findings, failures)


def _findings(row: Mapping[str, Any], over: OverRepresentedResult | None) -> Iterator[tuple[Finding, str]]:
    figures = f"p {row['p_value']:.2g}, q {row['q_value']:.2g} by {row['score_name']} of {row['recognizer']}"
    if row["verdict"] == Verdict.LEAKED:
        yield Finding.LEAKED, f"leaked: {figures}"
    if over is not None:
        rate = over.per_million
        yield (
            Finding.OVER_REPRESENTED,
            f"over-represented: hit by {rate.value:,.0f} per million samples (95 %: {rate.low:,.0f} to "
            f"{rate.high:,.0f}); p {over.model_p_value:.2g} by a model of the cohort's tail",
        )
    if row["verdict"] == Verdict.INCONCLUSIVE:
        yield Finding.INCONCLUSIVE, f"inconclusive, which is not cleared: {figures}"
