"""Jobs in processes of their own, as a user starts them: each with a Ray of its own."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType

import psutil

from distributed.execution.worker import Worker
from distributed.runtime.offline import VARIABLES

ROOT = Path(__file__).resolve().parents[2]
NOTHING: Mapping[str, str] = MappingProxyType({})


def inherited_environment() -> dict[str, str]:
    """That of the tests, less Ray's variables but those that keep it from calling home."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    return {**kept, **VARIABLES}


def run_apart(
    *command: str | Path, environment: Mapping[str, str] = NOTHING, timeout: float | None = 120
) -> subprocess.CompletedProcess[str]:
    """A command in the repository's root, to its end, with `environment` added to the inherited one."""
    return subprocess.run(
        list(map(str, command)),
        cwd=ROOT,
        env=inherited_environment() | dict(environment),
        text=True,
        capture_output=True,
        timeout=timeout,
        check=False,
    )


def start_job(
    job: str, argument: str | Path, *, module: str = "jobs", **environment: str
) -> subprocess.Popen[str]:
    """Start `idleak <job> <argument>` with `environment` added to that of the tests, less Ray's variables.

    module: `tests.support.in_process` for a job that starts no Ray.
    """
    return subprocess.Popen(
        [sys.executable, "-m", module, job, str(argument)],
        cwd=ROOT,
        env=inherited_environment() | environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def descendants(process: subprocess.Popen[str]) -> list[tuple[str, psutil.Process]]:
    """Names and processes of what a job has started and what these have; none that ends meanwhile."""
    named = []
    for child in psutil.Process(process.pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            named.append((child.name(), child))
    return named


def is_worker(name: str) -> bool:
    """Whether this is the name of a process in which Ray runs a worker of ours."""
    return name.startswith(f"ray::{Worker.__name__}")


def workers_of(process: subprocess.Popen[str]) -> list[psutil.Process]:
    return [child for name, child in descendants(process) if is_worker(name)]


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Exit code, and all that was printed."""
    output, _ = process.communicate(timeout=180)
    return process.returncode, output


@contextmanager
def on_a_terminal(*command: str) -> Iterator[tuple[int, int]]:
    """A process whose controlling terminal is a new one: its pid, and the terminal's other end."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(ROOT)
        os.execve(sys.executable, [sys.executable, *command], inherited_environment())
    try:
        yield pid, terminal
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
