from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from huggingface_hub.repocard_data import model_index_to_eval_results

from distributed.storage.results_file import read_results
from distributed.storage.store import RunStore
from jobs.__main__ import main
from jobs.cli.exit_codes import ExitCode
from jobs.pages.report.annex import QUESTIONS, annex_markdown, annex_section, model_card
from schemas.run.artefacts import REPORT_FILE
from schemas.run.checks import RoleTestResult
from schemas.run.results import AuditResults
from tests.jobs.pages.test_report import change_results, headline_with
from tests.jobs.pages.test_sentences import run_of
from tests.support.pages import Page
from tests.support.small_world import CANDIDATES, MEMBERS, SmallWorld


def authorised(world: SmallWorld, **words: str) -> AuditResults:
    return change_results(world, authorisation=words)


def test_the_annex_stands_in_the_report_and_in_a_file(finished_world: SmallWorld, tmp_path: Path) -> None:
    path = tmp_path / "annex.md"
    assert main(["report", str(finished_world.run), "--annex", str(path)]) == ExitCode.OK
    text = path.read_text(encoding="utf-8")
    assert f"{MEMBERS} leaked" in text and f"of {CANDIDATES} people" in text and "no legal advice" in text
    page = Page((finished_world.run / REPORT_FILE).read_text(encoding="utf-8")).text
    assert "Evidence annex" in page and all(source in page for source, _, _ in QUESTIONS)


def test_a_file_that_cannot_be_written_is_one_line(
    finished_world: SmallWorld, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in (tmp_path / "nowhere" / "annex.md", tmp_path):
        assert main(["report", str(finished_world.run), "--annex", str(path)]) == ExitCode.BAD_SPEC
        (line,) = capsys.readouterr().err.strip().splitlines()
        assert str(path) in line


def test_nobody_of_the_gallery_is_in_the_annex(finished_world: SmallWorld) -> None:
    text = annex_markdown(run_of(finished_world))
    results = read_results(RunStore(str(finished_world.run)))
    assert results.scores[0].flagged
    assert not any(name[:12] in text for name in results.scores[0].flagged)


def test_every_figure_that_is_said_to_bear_on_a_question_is_there(finished_world: SmallWorld) -> None:
    asked, figures, _ = annex_section(run_of(finished_world)).tables
    there = {row[0] for row in (*asked.rows, *figures.rows)} | {"By labels", "Upper limit"}
    named = {figure for row in QUESTIONS for figure in row[2].split(", ")}
    assert named <= there


def test_the_bound_of_false_flags_is_said_where_somebody_is_flagged(finished_world: SmallWorld) -> None:
    assert "in this audit, with 95 % confidence, at most 40 % of them" in annex_markdown(
        run_of(finished_world)
    )
    headline_with(finished_world, flagged_fdp_bound=None, flagged=[])
    assert "in this audit" not in annex_markdown(run_of(finished_world))


def test_the_test_of_exchangeability_is_told(finished_world: SmallWorld) -> None:
    change_results(finished_world, roles=RoleTestResult(auc=0.71, p_value=0.002, warns=True))
    assert "AUC 0.71, p 0.002" in annex_markdown(run_of(finished_world))
    change_results(finished_world, roles=None)
    assert "Not tested on templates" in annex_markdown(run_of(finished_world))


def test_what_the_auditor_wrote_makes_no_markdown(finished_world: SmallWorld) -> None:
    authorised(finished_world, purpose="a | b\n# head [link](http://x) <script>")
    lines = annex_markdown(run_of(finished_world)).splitlines()
    (row,) = [line for line in lines if line.startswith("| Authority")]
    assert len(re.findall(r"(?<!\\)\|", row)) == 3
    assert "<script>" not in row and "[link](" not in row


def test_the_hub_reads_the_model_card(finished_world: SmallWorld) -> None:
    card = yaml.safe_load(model_card(run_of(finished_world)))
    name, results = model_index_to_eval_results(card["model-index"])
    assert name == run_of(finished_world).results.name
    values = {result.metric_type: result.metric_value for result in results}
    assert values["idleak_people_leaked"] == MEMBERS and values["idleak_false_discovery_rate"] == 0.05
    assert None not in values.values()
