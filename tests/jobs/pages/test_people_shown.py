"""Whom a report shows, and why; and each number of theirs once."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa

from distributed.storage.store import RunStore
from jobs.__main__ import main
from jobs.api.reporting import faces_of, report_page
from jobs.cli.display import as_stored
from jobs.cli.exit_codes import ExitCode
from jobs.cli.findings import summary_lines
from jobs.pages.finished_run import FinishedRun, read_finished
from jobs.pages.gate.gate import judge
from jobs.pages.gate.markdown import markdown
from jobs.pages.notebook import run_html
from jobs.pages.page import OPEN
from jobs.pages.report.people import nearest_of, people_at_risk
from jobs.pages.report.summary import summary_of
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


def replace_p_values(run: FinishedRun, p_value: float) -> FinishedRun:
    """The run with nobody flagged and these p-values."""
    scores = run.scores
    for name, value in (("p_value", p_value), ("verdict", str(Verdict.INCONCLUSIVE))):
        place = scores.schema.get_field_index(name)
        column = pa.array([value] * len(scores), scores.schema.field(name).type)
        scores = scores.set_column(place, scores.schema.field(name), column)
    return replace(run, scores=scores)


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
