"""Audits as jobs of a Ray cluster with token authentication, which this file starts and ends."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from jobs.__main__ import main
from jobs.cli.exit_codes import ExitCode
from jobs.submit import _packed
from tests.support.processes import ROOT, inherited_environment
from tests.support.small_world import SmallWorld, file_bytes

TOKEN = "0123456789abcdef" * 2
HEAD = """
import shutil
import sys
import tempfile
from ray._private.parameter import RayParams
from ray._private.node import Node
from ray._private.utils import write_ray_address
# A folder of its own, as Ray looks there for the cluster that a job is to join; short, as sockets lie in it.
folder = tempfile.mkdtemp(prefix="ray-")
node = Node(
    RayParams(temp_dir=folder, num_cpus=2, include_dashboard=True, dashboard_host="127.0.0.1",
              dashboard_port=int(sys.argv[1]),
              dashboard_agent_listen_port=int(sys.argv[2])),
    head=True, shutdown_at_exit=True, spawn_reaper=True,
)
write_ray_address(node.address, folder)
print(node.address, flush=True)
sys.stdin.read()
node.kill_all_processes(check_alive=False, allow_graceful=True)
shutil.rmtree(folder, ignore_errors=True)
"""


@dataclass(frozen=True)
class Head:
    """A Ray head with a dashboard, and the file of its token."""

    dashboard: str
    token: Path

    def submit(self, *arguments: str | Path, token: bool = True) -> subprocess.Popen[str]:
        environment = inherited_environment() | {
            "RAY_AUTH_MODE": "token",
            "RAY_API_SERVER_ADDRESS": self.dashboard,
        }
        environment["HOME"] = str(self.token.parent)
        if token:
            environment["RAY_AUTH_TOKEN_PATH"] = str(self.token)
        return subprocess.Popen(
            [sys.executable, "-m", "jobs", "submit", "--python", sys.executable, *map(str, arguments)],
            cwd=ROOT,
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def ended(self, *arguments: str | Path, token: bool = True) -> tuple[int, str]:
        process = self.submit(*arguments, token=token)
        output, _ = process.communicate(timeout=180)
        return process.returncode, output


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Head]:
    token = tmp_path_factory.mktemp("token") / "token"
    token.write_text(TOKEN, encoding="utf-8")
    port, agent_port = free_ports(2)
    environment = inherited_environment() | {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token),
    }
    process = subprocess.Popen(
        [sys.executable, "-c", HEAD, str(port), str(agent_port)],
        cwd=tmp_path_factory.mktemp("elsewhere"),
        env=environment,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdout is not None and process.stdout.readline().strip(), "the head did not start"
    children = psutil.Process(process.pid).children(recursive=True)
    yield Head(f"http://127.0.0.1:{port}", token)
    process.communicate("", timeout=60)
    for child in children:
        if child.is_running():
            child.kill()


def free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for listener in sockets:
            listener.bind(("127.0.0.1", 0))
        return [int(listener.getsockname()[1]) for listener in sockets]


def absolute_spec(world: SmallWorld, name: str = "audit", **changes: Any) -> Path:
    """The world's spec with every path absolute, as a cluster needs it."""
    spec = world.spec(name, **changes).model_dump(mode="json", exclude_unset=True)
    path = world.folder / f"{name}-absolute.yaml"
    path.write_text(yaml.safe_dump(spec), encoding="utf-8")
    return path


def test_a_submitted_audit_has_the_bytes_of_a_local_one_and_names_nobody(
    head: Head, small_world: SmallWorld, finished_template: SmallWorld
) -> None:
    code, output = head.ended(absolute_spec(small_world))
    assert code == ExitCode.OK, output
    assert "5 leaked" in output and "is submitted" in output and "SUCCEEDED, exit code 0" in output
    assert "person-0" not in output and "other-0" not in output
    assert file_bytes(small_world.run) == file_bytes(finished_template.run)
    job = output.split(" is submitted")[0].splitlines()[-1]
    assert f"Next: idleak submit --logs {job} follows it" in output
    code, again = head.ended("--logs", job)
    assert code == ExitCode.OK and "5 leaked" in again
    code, status = head.ended("--status", job)
    assert code == ExitCode.OK and f"{job}: SUCCEEDED, exit code 0" in status
    next_step = f"Next: idleak submit --status {job} says how it ended"
    assert head.ended("--stop", job) == (ExitCode.OK, f"{job} has ended already\n{next_step}\n")


@pytest.mark.slow
def test_the_jobs_exit_code_is_passed_on_and_the_reason_kept_where_names_may_be(
    head: Head, small_world: SmallWorld
) -> None:
    (small_world.folder / "labels.csv").write_text("identity,member\nperson-001,perhaps\n", encoding="utf-8")
    code, output = head.ended(absolute_spec(small_world))
    assert code == ExitCode.BAD_SPEC, output
    assert "person-" not in output and "error.txt" in output and "exit code 2" in output
    assert "member must be 0 or 1" in (small_world.run / "error.txt").read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_job_outlives_its_client_and_drains_when_it_is_stopped(head: Head, small_world: SmallWorld) -> None:
    spec = absolute_spec(small_world, "long", samples=60_000)
    client = head.submit(spec)
    samples = small_world.folder / "runs" / "long" / "samples"
    deadline = time.monotonic() + 120
    while len(list(samples.glob("shard-*.parquet"))) < 2:
        assert time.monotonic() < deadline and client.poll() is None
        time.sleep(0.1)
    client.send_signal(signal.SIGINT)
    output, _ = client.communicate(timeout=30)
    assert client.returncode == ExitCode.INTERRUPTED and "goes on" in output
    job = output.split(" is submitted")[0].splitlines()[-1]
    code, status = head.ended("--status", job)
    assert code == ExitCode.OK and "RUNNING" in status
    made = len(list(samples.glob("shard-*.parquet")))
    next_step = f"Next: idleak submit --status {job} says how it ended"
    assert head.ended("--stop", job) == (ExitCode.OK, f"{job} is told to stop\n{next_step}\n")
    code, log = head.ended("--logs", job)
    assert code == ExitCode.RETRY and "STOPPED" in log, log
    assert len(list(samples.glob("shard-*.parquet"))) >= made
    assert not (samples.parent / "run.lock").exists() and not list(samples.glob("*.partial"))


def test_who_has_no_token_is_told_so(head: Head, small_world: SmallWorld) -> None:
    code, output = head.ended(absolute_spec(small_world), token=False)
    assert code == ExitCode.FAILED and "RAY_AUTH_TOKEN_PATH" in output and "Traceback" not in output
    head.token.with_name("other").write_text("f" * 32, encoding="utf-8")
    other = Head(head.dashboard, head.token.with_name("other"))
    code, output = other.ended("--status", "anything")
    assert code == ExitCode.FAILED and "another token" in output and "Traceback" not in output


def test_a_job_that_is_not_there_is_said(head: Head) -> None:
    code, output = head.ended("--status", "nothing")
    assert code == ExitCode.FAILED and "nothing does not exist" in output and output.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--address", "ray://127.0.0.1:10001"], "is not the address of a Ray dashboard"),
        (["--address", "http://198.51.100.7:8265"], "could be read on the way"),
    ],
)
def test_addresses_that_cannot_be_used_are_refused(
    small_world: SmallWorld, capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    assert main(["submit", str(absolute_spec(small_world)), *arguments]) == ExitCode.BAD_SPEC
    assert says in capsys.readouterr().err


def test_a_cluster_that_is_not_there_is_said(
    small_world: SmallWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = str(absolute_spec(small_world))
    assert main(["submit", spec, "--address", "http://127.0.0.1:1"]) == ExitCode.FAILED
    assert "is not there" in capsys.readouterr().err


def test_paths_of_this_machine_alone_are_refused(
    small_world: SmallWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["submit", str(small_world.spec_path())]) == ExitCode.BAD_SPEC
    err = capsys.readouterr().err
    for key in ("generator.path", "faces.recognizers.0.path", "gallery.candidates.images", "output"):
        assert key in err


def test_nothing_but_sources_and_the_spec_is_packed(small_world: SmallWorld) -> None:
    spec = absolute_spec(small_world)
    with _packed(spec) as folder:
        files = {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}
        assert Path("spec.yaml") in files and Path("jobs/audit.py") in files
        assert all(path.suffix == ".py" for path in files - {Path("spec.yaml")})
        assert not (folder / "jobs" / "benchmarks").exists()
        assert sum((folder / path).stat().st_size for path in files) < 2_000_000
        assert json.loads(json.dumps(yaml.safe_load((folder / "spec.yaml").read_text(encoding="utf-8"))))
    assert not folder.exists()
