"""Jobs whose output has nowhere to go, and terminals that are closed."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from jobs.__main__ import JOBS, main
from jobs.cli.exit_codes import ExitCode
from tests.support import helps
from tests.support.processes import ROOT, inherited_environment, on_a_terminal, run_apart
from tests.support.small_world import SmallWorld, file_bytes, shards_of

CODES = {place: ExitCode.FAILED if place == "full" else ExitCode.OUTPUT_CLOSED for place in helps.PLACES}
FULL = "idleak: cannot write to stdout: No space left on device\n"


def run_job(stdout: int, stderr: int, *command: str) -> tuple[int, str]:
    """Exit code of a job, and what it said on stderr, if that is a pipe."""
    done = subprocess.run(
        [sys.executable, "-m", "jobs", *command],
        cwd=ROOT,
        env=inherited_environment() | {"PYTHONUNBUFFERED": ""},
        stdout=stdout,
        stderr=stderr,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stderr or ""


def test_machines_are_told_how_a_job_without_a_reader_ends(
    finished_template: SmallWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IDLEAK_LOG", "json")
    with nowhere("pipe") as stdout:
        code, said = run_job(stdout, subprocess.PIPE, "status", str(finished_template.run))
    event = json.loads(said.splitlines()[-1])
    assert (code, event["event"], event["exit_code"]) == (
        ExitCode.OUTPUT_CLOSED,
        "end",
        ExitCode.OUTPUT_CLOSED,
    )


@contextmanager
def nowhere(where: str) -> Iterator[int]:
    """A descriptor that takes nothing."""
    descriptor = helps.nowhere(where)
    yield descriptor
    os.close(descriptor)


def test_the_help_of_every_job_ends_where_nobody_takes_it() -> None:
    done = run_apart(sys.executable, "-m", "tests.support.helps", timeout=170)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {f"{job} {where}": CODES[where] for job in JOBS for where in CODES}
    assert done.stderr == FULL * len(JOBS)


@pytest.mark.parametrize(
    ("job", "where"),
    [(job, "full") for job in ("spec", "doctor", "inspect", "status", "verify", "reveal", "audit")]
    + [("status", where) for where in ("pipe", "terminal")]
    + [pytest.param("audit", where, marks=pytest.mark.slow) for where in ("pipe", "terminal")],
)
def test_a_job_ends_where_nobody_takes_its_output(finished_world: SmallWorld, job: str, where: str) -> None:
    arguments = {
        "inspect": [str(finished_world.folder / "generator.onnx")],
        "audit": [str(finished_world.spec_path())],
    } | {command: [str(finished_world.run)] for command in ("status", "verify", "reveal")}
    with nowhere(where) as stdout:
        code, said = run_job(stdout, subprocess.PIPE, job, *arguments.get(job, []))
    assert (code, said) == (CODES[where], FULL if where == "full" else "")


@pytest.mark.parametrize("where", CODES)
def test_both_streams_may_lead_nowhere(where: str) -> None:
    with nowhere(where) as both:
        assert run_job(both, both, "spec") == (CODES[where], "")


@pytest.mark.parametrize("where", CODES)
def test_what_only_stderr_does_not_take_is_dropped(finished_template: SmallWorld, where: str) -> None:
    with nowhere(where) as stderr:
        assert run_job(subprocess.DEVNULL, stderr, "verify", str(finished_template.run))[0] == ExitCode.OK
        assert run_job(subprocess.DEVNULL, stderr, "verify", "/nowhere")[0] == ExitCode.BAD_SPEC
        assert run_job(subprocess.DEVNULL, stderr, "no job")[0] == ExitCode.BAD_SPEC


@pytest.mark.parametrize("buffered", ["", "1"])
def test_a_reader_who_has_read_enough(finished_world: SmallWorld, buffered: str) -> None:
    script = f"{sys.executable} -m jobs reveal {finished_world.run} | head -1"
    done = run_apart(
        "bash", "-o", "pipefail", "-c", script, timeout=60, environment={"PYTHONUNBUFFERED": buffered}
    )
    assert done.returncode in (ExitCode.OK, ExitCode.OUTPUT_CLOSED) and done.stderr == ""
    assert len(done.stdout.splitlines()) == 1


@pytest.mark.slow
def test_a_stream_that_was_closed_before_the_start_takes_no_files_place(small_world: SmallWorld) -> None:
    """And of its Ray nothing is left."""
    script = f"{sys.executable} -m jobs audit {small_world.spec_path()} <&- >&- 2>&-"
    with TemporaryDirectory(prefix="r", dir="/tmp") as short:
        environment = inherited_environment() | {"RAY_TMPDIR": short}
        done = subprocess.run(["sh", "-c", script], cwd=ROOT, env=environment, timeout=120, check=False)
        assert done.returncode == ExitCode.OK
        assert list(Path(short).iterdir()) == []
    assert main(["verify", str(small_world.run)]) == ExitCode.OK


@pytest.mark.slow
@pytest.mark.usefixtures("in_process")
def test_an_audit_whose_reader_has_gone_ends_in_good_order(
    small_world: SmallWorld, finished_template: SmallWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    """It speaks first of the photo that it refuses, with Ray up; then the run is unlocked, and goes on."""
    refused = small_world.folder / "candidates" / "person-000" / "broken.png"
    refused.write_bytes(b"no image")
    with nowhere("pipe") as stdout:
        code, said = run_job(stdout, subprocess.PIPE, "audit", str(small_world.spec_path()))
    assert code == ExitCode.OUTPUT_CLOSED, said
    assert "Ray" not in said and "Traceback" not in said and "idleak:" not in said
    assert not (small_world.run / "run.lock").exists() and not (small_world.run / "samples").exists()
    assert main(["audit", str(small_world.spec_path())]) == ExitCode.OK
    assert "refused" in capsys.readouterr().out
    samples = file_bytes(small_world.run, "samples/*.parquet")
    assert samples == file_bytes(finished_template.run, "samples/*.parquet")


@pytest.mark.slow
def test_a_terminal_that_is_closed_stops_an_audit_in_good_order(small_world: SmallWorld) -> None:
    spec = small_world.spec_path(samples=60_000)
    with on_a_terminal("-m", "jobs", "audit", str(spec)) as (pid, terminal):
        deadline = time.monotonic() + 120
        while shards_of(small_world.run) < 3:
            assert time.monotonic() < deadline, "it took too long"
            if select.select([terminal], [], [], 0.1)[0]:
                os.read(terminal, 65_536)
        os.close(terminal)
        _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == ExitCode.RETRY
    assert 3 <= shards_of(small_world.run) < 600
    assert not (small_world.run / "run.lock").exists() and not list(small_world.run.rglob("*.partial"))
