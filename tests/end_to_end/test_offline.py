"""Nothing leaves the machine, and nothing stays in the user's home: of a whole audit, as a user starts it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from distributed.runtime.offline import VARIABLES
from distributed.sampling.sandbox.parent import _environment
from jobs.cli.exit_codes import ExitCode
from tests.support.outbound import UNABLE
from tests.support.processes import ROOT
from tests.support.small_world import SmallWorld

CONTRARY = {name: "1" if value == "0" else "0" for name, value in VARIABLES.items() if value in ("0", "1")}
"""All telemetry on. Nothing else may say that this is CI, where onnxruntime sends nothing."""
REACH = """
import socket
for host, port in (("169.254.169.254", 80), ("127.0.0.1", 1)):
    try:
        socket.create_connection((host, port), 5)
    except ConnectionRefusedError:
        pass
try:
    socket.getaddrinfo("telemetry.example", 443)
except socket.gaierror:
    pass
socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"", ("203.0.113.5", 443))
"""


def environment_of(home: Path) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("IDLEAK_KEY", "LANG", "PATH", "TMPDIR") if name in os.environ}
    return kept | CONTRARY | {"HOME": str(home)}


def outbound(record: Path, *command: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.support.outbound", str(record), *command],
        cwd=ROOT,
        env=environment,
        text=True,
        capture_output=True,
        timeout=200,
        check=False,
    )


@dataclass(frozen=True)
class Audited:
    """A whole audit that has ended. attempts: whom it tried to reach; None if that cannot be seen: reason."""

    home: Path
    attempts: list[str] | None
    reason: str


@pytest.fixture(scope="module")
def audited(world_template: SmallWorld, tmp_path_factory: pytest.TempPathFactory) -> Audited:
    folder = tmp_path_factory.mktemp("audited")
    world = world_template.copy(folder / "world")
    home, record = folder / "home", folder / "record.json"
    home.mkdir()
    environment = environment_of(home)
    command = [sys.executable, "-m", "jobs", "audit", str(world.spec_path(samples=100))]
    done = outbound(record, *command, environment=environment)
    unable = done.stderr.strip() if done.returncode == UNABLE else ""
    if unable:
        done = subprocess.run(
            command, cwd=ROOT, env=environment, text=True, capture_output=True, timeout=200, check=False
        )
    assert done.returncode == ExitCode.OK, done.stdout + done.stderr
    assert "leaked" in done.stdout
    return Audited(home, None if unable else json.loads(record.read_text(encoding="utf-8")), unable)


def test_an_audit_tries_to_reach_nobody(audited: Audited) -> None:
    if audited.attempts is None:
        pytest.skip(audited.reason)
    assert audited.attempts == []


def test_an_audit_leaves_no_file_in_the_home(audited: Audited) -> None:
    left = {str(path.relative_to(audited.home)) for path in audited.home.rglob("*") if path.is_file()}
    assert left == set()


@pytest.mark.parametrize(
    "first",
    [
        ("-c", "import distributed.runtime.onnx_session"),
        ("-c", "import distributed.execution.worker, onnxruntime"),
        ("-c", "import distributed.sampling.sandbox.child, onnxruntime"),
        ("-c", "import jobs.benchmarks.pipeline.peers"),
        ("-c", "import jobs.benchmarks.generators"),
        ("examples/demo/measure.py", "--help"),
    ],
    ids=" ".join,
)
def test_onnxruntime_is_silent_wherever_python_begins(tmp_path: Path, first: tuple[str, str]) -> None:
    """It writes an identifier of the machine with its import, unless it is told not to before."""
    done = subprocess.run(
        [sys.executable, *first],
        cwd=ROOT,
        env=environment_of(tmp_path),
        text=True,
        capture_output=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert [path for path in tmp_path.rglob("*") if "onnxruntime" in path.name] == []


def test_code_of_a_generator_gets_the_same_variables(tmp_path: Path) -> None:
    assert _environment(tmp_path, 1).items() >= VARIABLES.items()


def test_what_tries_to_reach_somebody_is_seen(tmp_path: Path) -> None:
    record = tmp_path / "record.json"
    done = outbound(record, sys.executable, "-c", REACH, environment=dict(os.environ))
    if done.returncode == UNABLE:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stderr
    assert json.loads(record.read_text(encoding="utf-8")) == [
        "tcp 169.254.169.254:80",
        "udp 192.0.2.53:53 for telemetry.example",
        "udp 203.0.113.5:443",
    ]
