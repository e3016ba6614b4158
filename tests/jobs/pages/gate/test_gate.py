"""`idleak audit --fail-on`: who fails a gate, and what pipelines are given to read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import click
import pytest
import yaml

from distributed.storage.store import open_run
from jobs.__main__ import idleak, main
from jobs.cli.exit_codes import ExitCode
from jobs.pages.finished_run import read_finished
from jobs.pages.gate.gate import Finding, Gate, judge
from jobs.pages.gate.junit import junit_xml
from jobs.pages.gate.markdown import markdown
from jobs.pages.gate.outputs import GITHUB_SUMMARY
from jobs.pages.gate.sarif import sarif_json
from schemas.run.tables import Verdict
from tests.support.small_world import SmallWorld

ROOT = Path(__file__).resolve().parents[4]


def gate_of(world: SmallWorld, *fail_on: Finding) -> Gate:
    return judge(read_finished(open_run(world.spec())), fail_on)


def leaked_of(gate: Gate) -> set[str]:
    return {person.identity for person in gate.people if person.verdict == Verdict.LEAKED}


def sarif_of(gate: Gate) -> list[dict[str, Any]]:
    results: list[dict[str, Any]] = json.loads(sarif_json(gate, Path("audit.yaml")))["runs"][0]["results"]
    return results


def test_only_named_findings_fail(finished_template: SmallWorld) -> None:
    assert gate_of(finished_template).passed
    gate = gate_of(finished_template, Finding.LEAKED)
    assert not gate.passed
    failed = {person.identity for person in gate.people if person.failures}
    assert failed == leaked_of(gate) == set(gate.run.headline.flagged)
    over = gate_of(finished_template, Finding.OVER_REPRESENTED)
    assert {person.identity for person in over.people if person.failures} == {
        person.identity for person in over.run.results.over_represented
    }


def test_junit_has_a_case_a_candidate(finished_template: SmallWorld) -> None:
    gate = gate_of(finished_template, Finding.LEAKED)
    root = ElementTree.fromstring(junit_xml(gate))
    suite = root.find("testsuite")
    assert root.tag == "testsuites" and suite is not None
    cases = suite.findall("testcase")
    assert [case.attrib["name"] for case in cases] == [person.identity for person in gate.people]
    failed = [case for case in cases if case.find("failure") is not None]
    assert {case.attrib["name"] for case in failed} == leaked_of(gate)
    assert (suite.attrib["tests"], suite.attrib["failures"]) == (str(len(cases)), str(len(failed)))
    assert float(suite.attrib["time"]) > 0
    failure = failed[0].find("failure")
    assert failure is not None and failure.attrib["type"] == "leaked" and "q " in failure.attrib["message"]


def test_sarif_has_what_code_scanning_needs(finished_template: SmallWorld) -> None:
    gate = gate_of(finished_template, Finding.LEAKED)
    log = json.loads(sarif_json(gate, ROOT / "a b.yaml"))
    assert (log["version"], len(log["runs"])) == ("2.1.0", 1)
    driver, results = log["runs"][0]["tool"]["driver"], log["runs"][0]["results"]
    errors = [result for result in results if result["level"] == "error"]
    assert len(errors) == len(leaked_of(gate))
    assert all(result["ruleId"] == driver["rules"][result["ruleIndex"]]["id"] for result in results)
    places = [place["physicalLocation"] for result in results for place in result["locations"]]
    assert {place["artifactLocation"]["uri"] for place in places} == {"a%20b.yaml"}
    prints = [json.dumps(result["partialFingerprints"]) for result in results]
    assert len(set(prints)) == len(prints) == len(results)


def test_findings_that_are_not_asked_for_are_warnings(finished_template: SmallWorld) -> None:
    levels = {result["level"] for result in sarif_of(gate_of(finished_template))}
    assert levels == {"warning"}


def test_a_cohort_that_is_too_small_fails_who_asks_for_it(
    small_world: SmallWorld, in_process: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = str(small_world.spec_path(samples=60, membership={"fdr": 0.001}))
    files = {option: tmp_path / f"idleak{option}" for option in ("--junit", "--sarif", "--summary")}
    options = [word for option, path in files.items() for word in (option, str(path))]
    assert main(["audit", spec, "--unnamed", "--fail-on", "inconclusive", *options]) == ExitCode.NEW_FINDINGS
    assert "gate on inconclusive: failed" in capsys.readouterr().out
    gate = judge(read_finished(open_run(small_world.spec())), [Finding.INCONCLUSIVE])
    assert files["--junit"].read_bytes().count(b"<failure") == len(gate.people)
    assert {
        result["ruleId"] for result in json.loads(files["--sarif"].read_bytes())["runs"][0]["results"]
    } >= {"inconclusive"}
    assert "failed, on inconclusive" in files["--summary"].read_text()


def test_a_finished_audit_is_judged_again(
    finished_world: SmallWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, summary = str(finished_world.spec_path()), tmp_path / "summary.md"
    summary.write_text("before\n")
    monkeypatch.setenv(GITHUB_SUMMARY, str(summary))
    assert main(["audit", spec, "--fail-on", "leaked"]) == ExitCode.NEW_FINDINGS
    assert summary.read_text() == "before\n"
    assert main(["audit", spec, "--github-summary"]) == ExitCode.OK
    assert summary.read_text().startswith("before\n## idleak: ")


def test_files_know_pseudonyms_alone(finished_template: SmallWorld) -> None:
    gate = gate_of(finished_template, *Finding)
    sides = [finished_template.folder / side for side in ("candidates", "cohort")]
    names = {path.name for side in sides for path in side.iterdir()} | {str(finished_template.folder)}
    assert len(names) > len(gate.people)
    text = junit_xml(gate).decode() + sarif_json(gate, Path("audit.yaml")).decode() + markdown(gate)
    assert [name for name in names if name in text] == []


@pytest.mark.parametrize(
    ("options", "remedy"),
    [
        (["--junit", "x.xml"], "--fail-on"),
        (["--github-summary"], "--summary FILE"),
        (["--sarif", "nowhere/x.sarif"], "a folder that exists"),
        (["--sarif", "x", "--summary", "x"], "a file each"),
    ],
)
def test_what_could_not_be_written_is_said_before_the_work(
    options: Sequence[str],
    remedy: str,
    small_world: SmallWorld,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(GITHUB_SUMMARY, raising=False)
    assert main(["audit", str(small_world.spec_path()), *options]) == ExitCode.BAD_SPEC
    assert remedy in capsys.readouterr().err
    assert not small_world.run.exists()


@pytest.mark.parametrize("path", ["github-actions.yml", "gitlab-ci.yml"])
def test_the_examples_run_the_command_as_it_is(path: str) -> None:
    job = yaml.safe_load((ROOT / "examples" / "ci" / path).read_text())
    commands = [line for line in _lines(job) if "idleak audit" in line]
    assert len(commands) == 1
    words = commands[0].split()
    assert (ROOT / words[2]).is_file()
    audit = idleak.get_command(click.Context(idleak), "audit")
    assert audit is not None
    with audit.make_context("audit", words[2:]) as context:
        assert context.params["fail_on"] == (Finding.LEAKED, Finding.OVER_REPRESENTED)
    written = {words[words.index(option) + 1] for option in ("--junit", "--sarif")}
    uploaded = json.dumps(job, default=str)
    assert all(uploaded.count(name) >= 2 for name in written)


def _lines(job: Any) -> list[str]:
    if isinstance(job, dict):
        return [line for value in job.values() for line in _lines(value)]
    if isinstance(job, list):
        return [line for value in job for line in _lines(value)]
    return [str(job)]
