"""idleak from Python: what is given back, on whose Ray it works, and that it leaves the process as it was."""

from __future__ import annotations

import logging
import signal
import sys
from dataclasses import FrozenInstanceError
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest
import yaml

from distributed.execution.stopping import stop_requested
from distributed.storage.store import RunStore
from distributed.storage.trail import entries
from jobs.__main__ import main
from jobs.api import Run, audit, open_run, plan
from jobs.cli.exit_codes import ExitCode
from jobs.cli.log import LOGGERS
from schemas.errors import RecognizerError, SpecError, StoppedError, UsageError
from schemas.run.tables import OVER_REPRESENTATION_SCHEMA, SCORES_SCHEMA, Role
from tests.support.models import periodic_recognizer
from tests.support.pages import inert
from tests.support.people import pseudonyms
from tests.support.processes import run_apart
from tests.support.small_world import CANDIDATES, COHORT, MEMBERS, SmallWorld, default_spec, file_bytes

LEAKED = set(pseudonyms(f"person-{index:03d}" for index in range(MEMBERS)))


@pytest.fixture
def opened(finished_world: SmallWorld) -> Run:
    return open_run(str(finished_world.run))


def test_a_run_gives_its_tables_and_its_verdict(opened: Run) -> None:
    assert opened.scores.schema.names == SCORES_SCHEMA.names
    assert opened.over_representation.schema.names == OVER_REPRESENTATION_SCHEMA.names
    assert set(opened.flagged) == LEAKED and f"{MEMBERS} of {CANDIDATES} people" in opened.verdict
    verdicts = opened.verdicts
    assert verdicts.num_rows == CANDIDATES and "role" not in verdicts.column_names
    assert set(verdicts["identity"].to_pylist()[:MEMBERS]) == LEAKED
    assert verdicts["per_million"].null_count == 0 and verdicts["over_represented"].type == pa.bool_()
    assert opened.neighbours.num_rows > 0 and opened.photos.num_rows > 0 and opened.settings is None
    with pytest.raises(FrozenInstanceError):
        opened.__setattr__("shown", str)


def test_a_run_as_data_frames(opened: Run) -> None:
    frame = opened.to_pandas()
    assert list(frame["identity"]) == opened.verdicts["identity"].to_pylist()
    assert set(frame[frame["verdict"] == "leaked"]["identity"]) == LEAKED
    assert len(opened.scores.to_pandas()) == opened.scores.num_rows


def test_a_run_and_its_figures_are_shown_in_a_notebook(opened: Run) -> None:
    page = inert(opened._repr_html_())
    assert opened.verdict in page.text and next(iter(LEAKED))[:12] in page.text
    figures = opened.figures()
    assert {"scores", "calibration"} <= {figure.name for figure in figures}
    assert "data:image/png;base64," in figures[0]._repr_html_() and figures[0].png[1:4] == b"PNG"


def test_names_are_shown_to_the_holder_of_the_key_and_that_is_kept(finished_world: SmallWorld) -> None:
    run = open_run(str(finished_world.run), reveal=True)
    names = {f"person-{index:03d}" for index in range(MEMBERS)}
    assert set(run.flagged) == names and set(run.verdicts["identity"].to_pylist()[:MEMBERS]) == names
    cohort = run.scores.filter(pc.equal(run.scores["role"], Role.COHORT))
    assert set(cohort["identity"].to_pylist()) == {f"other-{index:03d}" for index in range(COHORT)}
    assert run.scores.schema == open_run(str(finished_world.run)).scores.schema
    acts = [(entry.action, entry.what.get("revealed")) for entry in entries(run.finished.store)]
    assert acts[-2:] == [("open", True), ("open", False)]


def test_a_report_is_that_of_the_command(opened: Run, finished_world: SmallWorld) -> None:
    assert opened.report() == f"{finished_world.run}/report.html"
    by_api = [file_bytes(finished_world.run, pattern) for pattern in ("report.html", "figures/*")]
    assert main(["report", str(finished_world.run)]) == ExitCode.OK
    assert by_api == [file_bytes(finished_world.run, pattern) for pattern in ("report.html", "figures/*")]
    acts = [entry.action for entry in entries(RunStore(str(finished_world.run)))]
    assert acts[-4:] == ["report", "reported", "report", "reported"]


def test_a_gate_from_python(opened: Run) -> None:
    assert not opened.gate(["leaked"]).passed
    with pytest.raises(UsageError, match="a gate fails on leaked, over-represented, inconclusive"):
        opened.gate(["guilty"])


def test_what_is_no_run_is_said_in_one_line(tmp_path: Path, small_world: SmallWorld) -> None:
    with pytest.raises(UsageError, match="holds no run"):
        open_run(str(tmp_path))
    with pytest.raises(SpecError, match="the spec: name: missing; it is required"):
        audit({"seed": 1})
    with pytest.raises(SpecError, match="authorisation"):
        audit(small_world.spec_path(authorisation=None))


def test_the_files_of_an_audit_from_python_are_those_of_the_command(
    small_world: SmallWorld, finished_template: SmallWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The keys of a spec as a mapping, on a Ray that is there already, which stays."""
    import ray

    monkeypatch.chdir(small_world.folder)
    keys = yaml.safe_load(small_world.spec_path().read_text(encoding="utf-8"))
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)]
    lines: list[str] = []
    run = audit(keys, tell=lines.append)
    assert set(run.flagged) == LEAKED and run.location == str(small_world.run)
    assert file_bytes(small_world.run) == file_bytes(finished_template.run)
    assert ray.is_initialized()
    assert any(line.startswith("sampling: ") for line in lines), "progress is told"
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)] == before


def test_a_plan_has_its_figures_and_what_would_end_the_audit(
    small_world: SmallWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    periodic_recognizer(small_world.folder / "recognizer.onnx")
    raw = {"name": "raw", "path": "recognizer.onnx", "input": {"mean": 0, "std": 1}}
    planned = plan(small_world.spec_path(faces={**default_spec()["faces"], "recognizers": [raw]}))
    assert capsys.readouterr().out == ""
    assert planned.people == {Role.CANDIDATE: CANDIDATES, Role.COHORT: COHORT}
    assert planned.samples is not None and planned.seconds is not None and planned.seconds > 0
    assert planned.allowed.candidates == CANDIDATES
    assert planned.table.num_rows == len(planned.rows) and "disk" in planned.table["name"].to_pylist()
    assert isinstance(planned.problem, RecognizerError)
    assert str(planned.problem) in inert(planned._repr_html_()).text


def test_loggers_are_as_they_were_and_a_stop_is_over(
    small_world: SmallWorld, in_process: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    loggers = [logging.getLogger(name) for name in LOGGERS]
    before = [(logger.level, list(logger.handlers)) for logger in loggers]
    lines: list[str] = []

    def tell(line: str) -> None:
        lines.append(line)
        signal.raise_signal(signal.SIGTERM)
        monkeypatch.undo()

    with pytest.raises((StoppedError, KeyboardInterrupt)):
        audit(small_world.spec_path(), tell=tell)
    assert lines and not stop_requested(), "the next call is not stopped by a signal of this one"
    assert [(logger.level, list(logger.handlers)) for logger in loggers] == before


SILENT = """
import sys
from jobs.api import audit, open_run
import matplotlib
backend = matplotlib.get_backend(auto_select=False)
run = audit(sys.argv[1])
open_run(run.location).figures()
assert matplotlib.get_backend(auto_select=False) == backend
"""


def test_nothing_is_printed(finished_world: SmallWorld) -> None:
    done = run_apart(sys.executable, "-c", SILENT, str(finished_world.spec_path()), timeout=None)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
