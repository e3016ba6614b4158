"""`idleak submit SPEC`: run an audit as a job of a Ray cluster; it outlives the process that submits it."""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import distributed
from distributed.execution.submission import ClusterJobs, JobState
from jobs.cli.command import guarded
from jobs.cli.exit_codes import ExitCode
from jobs.cli.say import complain, say
from schemas.errors import SpecError
from schemas.printable import printable_lines
from schemas.spec.audit import parse_spec, read_keys

PACKAGES = ("distributed", "jobs", "schemas")
SPEC_NAME = "spec.yaml"


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="idleak submit", description=__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("spec", type=Path, nargs="?", metavar="SPEC", help="the audit's YAML file")
    what.add_argument("--status", metavar="JOB", help="how far the job is, and its exit code")
    what.add_argument("--logs", metavar="JOB", help="follow the job from its beginning; ends as it ends")
    what.add_argument("--stop", metavar="JOB", help="let the shards under way end, then stop the job")
    parser.add_argument(
        "--address",
        default=os.environ.get("RAY_API_SERVER_ADDRESS") or "http://127.0.0.1:8265",
        help="of the cluster's dashboard; default: RAY_API_SERVER_ADDRESS, else %(default)s",
    )
    parser.add_argument("--detach", action="store_true", help="do not follow the job")
    parser.add_argument(
        "--python", default="python", help="the cluster's Python that has idleak's dependencies"
    )
    parser.add_argument(
        "--plain-http", action="store_true", help="send the token over http to another machine"
    )
    arguments = parser.parse_args(argv)
    return guarded(lambda: _run(arguments))


def _run(arguments: argparse.Namespace) -> ExitCode | int:
    packed = None if arguments.spec is None else _read(arguments.spec)
    jobs = ClusterJobs(arguments.address, plain_http=arguments.plain_http)
    if arguments.status:
        return _tell(arguments.status, jobs.state(arguments.status))
    if arguments.stop:
        stopped = jobs.stop(arguments.stop)
        say(f"{arguments.stop} " + ("is told to stop" if stopped else "has ended already"))
        return ExitCode.OK
    if packed is None:
        return _follow(jobs, arguments.logs)
    job = f"{packed['name']}-{datetime.now(UTC):%Y%m%d-%H%M%S-%f}"
    with _packed(arguments.spec) as folder:
        jobs.submit(folder, f"{shlex.quote(arguments.python)} -m jobs audit --unnamed {SPEC_NAME}", job, {})
    complain(f"{job} is submitted; `idleak submit --logs {job}` follows it, `--stop {job}` stops it")
    return ExitCode.OK if arguments.detach else _follow(jobs, job)


def _read(path: Path) -> dict[str, Any]:
    """A spec's keys. Raises SpecError if it is none, or names files that the cluster cannot find."""
    raw = read_keys(path, "an audit spec")
    here, there = (parse_spec(raw, path, Path(base)).model_dump(mode="json") for base in ("/here", "/there"))
    if relative := list(_differences(here, there)):
        raise SpecError(
            f"{path}: relative paths in {', '.join(relative)}, but a cluster's machines do not have this "
            "folder: give absolute paths that all of them have, or buckets"
        )
    return raw


def _differences(one: Any, other: Any, key: str = "") -> Iterator[str]:
    """The keys of all leaves that differ."""
    if isinstance(one, Mapping):
        for name in one:
            yield from _differences(one[name], other[name], f"{key}.{name}" if key else str(name))
    elif isinstance(one, list):
        for place, (left, right) in enumerate(zip(one, other, strict=True)):
            yield from _differences(left, right, f"{key}.{place}")
    elif one != other:
        yield key


@contextmanager
def _packed(spec: Path) -> Iterator[Path]:
    """A folder with idleak's own sources and the spec, and nothing else."""
    root = Path(distributed.__file__ or "").parent.parent
    with tempfile.TemporaryDirectory(prefix="idleak-submit-") as name:
        folder = Path(name)
        for package in PACKAGES:
            sources = [path for path in (root / package).rglob("*.py") if not path.is_symlink()]
            for path in sources:
                copy = folder / path.relative_to(root)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, copy)
        shutil.copyfile(spec, folder / SPEC_NAME)
        yield folder


def _follow(jobs: ClusterJobs, job: str) -> ExitCode | int:
    """Print what the job prints, and end with its exit code."""
    try:
        state = jobs.follow(job, _write)
    except KeyboardInterrupt:
        complain(f"idleak: no longer followed; {job} goes on: `idleak submit --stop {job}` would stop it")
        return ExitCode.INTERRUPTED
    return _tell(job, state)


def _write(text: str) -> None:
    print(printable_lines(text), end="", flush=True)


def _tell(job: str, state: JobState) -> ExitCode | int:
    """One line, and the job's exit code; OK while it runs."""
    code = "" if state.exit_code is None else f", exit code {state.exit_code}"
    complain(f"{job}: {state.status}{code}. {state.message}")
    if not state.has_ended:
        return ExitCode.OK
    if state.exit_code is not None and state.exit_code >= 0:
        return state.exit_code
    return {"SUCCEEDED": ExitCode.OK, "STOPPED": ExitCode.RETRY}.get(state.status, ExitCode.FAILED)
