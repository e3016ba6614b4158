"""The fleet's hook: a program that is told of new findings, each once."""

from __future__ import annotations

import shutil
import subprocess

from distributed.storage.store import RunStore
from jobs.schedule.night import state_of
from schemas.errors import SpecError
from schemas.run.nights import FleetReport
from schemas.spec.fleet import Fleet

OUTPUT_FILE = "hook.txt"
AGAIN = "it is told of the same findings again on the next run"


def require_hook(fleet: Fleet) -> None:
    """Raise SpecError unless the fleet's hook, if it has one, is a program."""
    if fleet.hook and shutil.which(_program(fleet)) is None:
        raise SpecError(f"hook: {fleet.hook[0]} is no program that can be run; correct it in the fleet")


def tell_hook(fleet: Fleet, report: FleetReport, path: str, report_json: bytes) -> str | None:
    """Run the hook if there are findings that it has not been told of, and keep that it was.

    path: of the report, its last argument; report_json: its standard input. No name is on its command
    line. Gives what went wrong, or None; the hook's output is then in `hook.txt`.
    """
    if not fleet.hook or not any(audit.untold for audit in report.audits):
        return None
    problem = _run(fleet, path, report_json)
    if problem is None:
        _keep_told(fleet, report)
    return problem


def _program(fleet: Fleet) -> str:
    """A name is looked for in PATH, a path is relative to the fleet's file."""
    program = fleet.hook[0]
    return str(fleet.folder / program) if "/" in program else program


def _run(fleet: Fleet, path: str, report_json: bytes) -> str | None:
    command = [_program(fleet), *fleet.hook[1:], path]
    try:
        done = subprocess.run(
            command,
            input=report_json,
            cwd=fleet.folder,
            timeout=fleet.hook_seconds,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
    except subprocess.TimeoutExpired:
        return f"the hook took longer than hook_seconds, {fleet.hook_seconds:g}, and was ended; {AGAIN}"
    except OSError as error:
        return f"the hook cannot be run: {error.strerror}; {AGAIN}"
    if done.returncode:
        RunStore(fleet.state).write(OUTPUT_FILE, done.stdout)
        return f"the hook ended with {done.returncode}, its output is in {fleet.state}/{OUTPUT_FILE}; {AGAIN}"
    return None


def _keep_told(fleet: Fleet, report: FleetReport) -> None:
    """Forget people who are no longer new findings: the hook is told of them again if they come back."""
    for audit in report.audits:
        if audit.record is not None and audit.record.comparison is not None:
            state_of(fleet, fleet.entry(audit.key)).tell(set(audit.open))
