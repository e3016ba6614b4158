"""Whom a report shows, and why; and each number of theirs once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pyarrow as pa
import pytest

from distributed.storage.results_file import Row
from distributed.storage.store import RunStore
from jobs.__main__ import main
from jobs.api.reporting import faces_of, report_page
from jobs.cli.display import as_stored
from jobs.cli.exit_codes import ExitCode
from jobs.cli.findings import print_findings, summary_lines
from jobs.pages.finished_run import FinishedRun, read_finished
from jobs.pages.gate.gate import judge
from jobs.pages.gate.markdown import markdown
from jobs.pages.notebook import run_html
from jobs.pages.page import OPEN
from jobs.pages.report.people import nearest_of, people_at_risk
from jobs.pages.report.summary import summary_of
from schemas.run.artefacts import SCORES_FILE
from schemas.run.tables import Verdict
from tests.jobs.pages.test_report import change_results, headline_with, html_of
from tests.jobs.pages.test_sentences import (
    first_screen,
    page_of,
    run_of,
    terminal,
    with_nobody_flagged,
    with_power,
)
from tests.support.pages import Page
from tests.support.people import pseudonym
from tests.support.small_world import CANDIDATES, MEMBERS, SmallWorld


def test_each_similarity_stands_once(finished_world: SmallWorld) -> None:
    """Below the picture, or where there is none in a sentence; a copy is told of without another number."""
    run = read_finished(RunStore(str(finished_world.run)))
    (row, *_), (evidence, *_) = people_at_risk(run), run.results.evidence
    nearest = nearest_of(run, [row])[row["identity"]][0]
    numbers = f"{nearest['similarity']:.3f}, {nearest['margin']:+.3f}"
    for face_maker, listed in (
        (None, f"{nearest['sample_id']} ({numbers})"),
        (faces_of, f"sample {nearest['sample_id']}: {numbers}"),
    ):
        text = Page(report_page(run, (), as_stored, face_maker).decode()).text
        assert text.count(listed) == text.count(numbers) == 1
        assert evidence.photo[:12] in text and f"similarity {evidence.similarity:.3f}" not in text


def test_nobody_is_shown_without_a_reason(finished_world: SmallWorld) -> None:
    run = read_finished(RunStore(str(finished_world.run)))
    everybody = run.people(run.headline).to_pylist()
    silent = {row["identity"] for row in everybody if row["p_value"] > 0.05}
    assert len(silent) >= CANDIDATES - MEMBERS - 3
    assert main(["report", str(finished_world.run), "--reveal", "--with-faces"]) == ExitCode.OK
    names = {pseudonym(name): name for name in (f"person-{index:03d}" for index in range(CANDIDATES))}
    text = Page(html_of(finished_world)).text
    assert "People flagged as leaked" in text
    assert not [
        name for identity, name in names.items() if identity in silent and f"{name} inconclusive" in text
    ]
    assert all(f"{names[identity]} leaked" in text for identity in run.headline.flagged)
    rows = replace_p_values(run, 0.93)
    assert people_at_risk(rows) == []


def test_whoever_lists_people_lists_those_with_a_reason_alone(
    finished_world: SmallWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    """The terminal after `audit` and `reduce`, and a notebook: whom the report shows, and nobody else."""
    near = {pseudonym("person-007"), pseudonym("person-008")}
    run = written(
        with_p_values(run_of(finished_world), lambda row: 0.04 if row["identity"] in near else None)
    )
    shown = {row["identity"][:12] for row in people_at_risk(run)}
    everybody = {row["identity"][:12] for row in run.people(run.headline).to_pylist()}
    by_chance = "whom this audit does not flag; if nobody leaked, about 1 of 20 people would have one by"
    assert len(shown) == MEMBERS + len(near) < len(everybody)
    for text in (listed(run, capsys), run_html(run, as_stored)):
        assert {identity for identity in everybody if identity in text} == shown
        assert f"2 people with a p-value of 0.05 or less {by_chance}" in text
    silent = written(replace_p_values(run, 0.93))
    for text in (listed(silent, capsys), run_html(silent, as_stored)):
        assert "obody is listed, as nobody has a p-value of 0.05 or less" in text
        assert "identity" not in text and "<th" not in text and by_chance not in text


def listed(run: FinishedRun, capsys: pytest.CaptureFixture[str]) -> str:
    """What the terminal lists, without the lines about the run as a whole."""
    capsys.readouterr()
    print_findings(run.store)
    printed = capsys.readouterr().out
    return printed.partition("verdicts at FDR")[0]


def test_those_without_room_are_counted(
    finished_world: SmallWorld, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = written(replace_p_values(run_of(finished_world), 0.04))
    assert "listed: the first 10 of 20 people with a reason to be" in listed(run, capsys)
    assert "10 of 20 people with a reason to be listed" in run_html(run, as_stored)
    monkeypatch.setattr("jobs.pages.report.people.MOST_SHOWN", 7)
    text = Page(report_page(run, (), as_stored, None).decode()).text
    assert "20 people with a p-value of 0.05 or less whom this audit does not flag" in text
    assert "The first 7 of them are shown." in text


def replace_p_values(run: FinishedRun, p_value: float) -> FinishedRun:
    """The run with nobody flagged and these p-values."""
    return with_p_values(run, lambda row: p_value)


def with_p_values(run: FinishedRun, p_value: Callable[[Row], float | None]) -> FinishedRun:
    """The run with other p-values, of people whom it does not flag; None keeps what there is."""
    rows = run.scores.to_pylist()
    changed = [
        row if (given := p_value(row)) is None else row | {"p_value": given, "verdict": Verdict.NOT_DETECTED}
        for row in rows
    ]
    return replace(run, scores=pa.Table.from_pylist(changed, run.scores.schema))


def written(run: FinishedRun) -> FinishedRun:
    """The run, whose tables are in its folder too."""
    run.store.write_table(SCORES_FILE, run.scores, run.store.read_footer(SCORES_FILE))
    return run


def test_who_is_above_a_cohort_that_is_too_small_has_a_place(finished_world: SmallWorld) -> None:
    """First screen, terminal and a section of the page say who, what chance gives, and what is missing."""
    names = [pseudonym(f"person-{index:03d}") for index in range(2)]
    with_nobody_flagged(finished_world, 0, 0, CANDIDATES)
    with_power(finished_world, flaggable_from=None)
    assert "whole cohort" not in terminal(finished_world) + first_screen(finished_world)
    first, *others = headline_with(finished_world, at_floor=names).scores
    flagged_else = [score.model_copy(update={"at_floor": [], "flagged": names[:1]}) for score in others]
    results = change_results(finished_world, scores=[first, *flagged_else])
    lacking = "with 399 people, 279 more than now, whoever still scores higher than all of them"
    for text in (terminal(finished_world), first_screen(finished_world)):
        assert (
            "bove the whole cohort, 2: score higher than everybody of the cohort, 1 of them by every" in text
        )
        assert "by chance about 0.17 of 20 people would" in text and lacking in text
    assert f"above the whole cohort: {names[0][:12]}, {names[1][:12]}" in terminal(finished_world)
    run = run_of(finished_world)
    assert lacking in run_html(run, as_stored) and lacking in markdown(judge(run, ()))
    unnamed = "\n".join(summary_lines(results, results.scores[0], named=False))
    assert lacking in unnamed and names[0][:12] not in unnamed
    summary = summary_of(run_of(finished_world), with_faces=False)
    assert summary.verdict.startswith(
        "Nobody is flagged, but 2 of 20 people score higher than the whole cohort"
    )
    assert summary.tone == OPEN
    _, _, sections = page_of(finished_world).partition("People above the whole cohort, who cannot be flagged")
    sections, _, rest = sections.partition("Others with small p-values")
    assert lacking in sections
    assert all(f"{name[:12]} inconclusive p-value 0.0083" in sections for name in names)
    assert rest and not any(name[:12] in rest for name in names)
