"""`idleak submit SPEC`: run an audit as a job of a Ray cluster; it outlives the process that submits it."""

from __future__ import annotations

import shlex
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import distributed
from jobs.cli.arguments import StrictCommand, optional_spec_argument, require_exactly_one
from jobs.cli.exit_codes import ExitCode
from jobs.cli.say import print_error, say, say_next
from schemas.errors import SpecError
from schemas.printable import printable_lines
from schemas.spec.load import parse_spec, read_keys

if TYPE_CHECKING:
    from distributed.execution.submission import ClusterJobs, JobState

PACKAGES = ("distributed", "jobs", "schemas")
SPEC_NAME = "spec.yaml"
NOT_PACKED = Path("jobs", "benchmarks")
"""An eighth of the sources, and no audit loads them."""


@click.command("submit", cls=StrictCommand, help=__doc__)
@optional_spec_argument
@click.option("--status", metavar="JOB", help="how far the job is, and its exit code")
@click.option("--logs", metavar="JOB", help="follow the job from its beginning; ends as it ends")
@click.option("--stop", metavar="JOB", help="let the shards under way end, then stop the job")
@click.option(
    "--address",
    metavar="URL",
    envvar="RAY_API_SERVER_ADDRESS",
    show_envvar=True,
    default="http://127.0.0.1:8265",
    help="of the cluster's dashboard",
)
@click.option("--detach", is_flag=True, help="do not follow the job")
@click.option("--python", default="python", help="the cluster's Python that has idleak's dependencies")
@click.option("--plain-http", is_flag=True, help="send the token over http to another machine")
def command(
    spec: Path | None,
    *,
    status: str | None,
    logs: str | None,
    stop: str | None,
    address: str,
    detach: bool,
    python: str,
    plain_http: bool,
) -> ExitCode | int:
    require_exactly_one({"SPEC": spec, "--status": status, "--logs": logs, "--stop": stop})
    # Ray takes seconds to import.
    from distributed.execution.submission import ClusterJobs

    name = "" if spec is None else _name(spec)
    jobs = ClusterJobs(address, plain_http=plain_http)
    if spec is not None:
        job = _submit(jobs, spec, name, python)
        return ExitCode.OK if detach else _follow(jobs, job)
    if status is not None:
        code = _tell(status, jobs.state(status))
        print_error(f"Next: idleak submit --logs {status} prints what it says")
        return code
    if stop is not None:
        stopped = jobs.stop(stop)
        say(f"{stop} " + ("is told to stop" if stopped else "has ended already"))
        say_next(f"idleak submit --status {stop} says how it ended")
        return ExitCode.OK
    assert logs is not None
    return _follow(jobs, logs)


def _submit(jobs: ClusterJobs, spec: Path, name: str, python: str) -> str:
    job = f"{name}-{datetime.now(UTC):%Y%m%d-%H%M%S-%f}"
    with _packed(spec) as folder:
        jobs.submit(folder, f"{shlex.quote(python)} -m jobs audit --unnamed {SPEC_NAME}", job, {})
    print_error(f"{job} is submitted")
    print_error(f"Next: idleak submit --logs {job} follows it; idleak submit --stop {job} stops it")
    return job


def _name(path: Path) -> str:
    """A spec's name. Raises SpecError if it is not a spec, or names files that the cluster cannot find."""
    raw = read_keys(path, "an audit spec")
    here, there = (parse_spec(raw, path, Path(base)).model_dump(mode="json") for base in ("/here", "/there"))
    if relative := list(_differences(here, there)):
        raise SpecError(
            f"{path}: relative paths in {', '.join(relative)}, but a cluster's machines do not have this "
            "folder: give absolute paths that all of them have, or buckets"
        )
    return str(raw["name"])


def _differences(first: Any, second: Any, key: str = "") -> Iterator[str]:
    """The keys of all leaves that differ."""
    if isinstance(first, Mapping):
        for name in first:
            yield from _differences(first[name], second[name], f"{key}.{name}" if key else str(name))
    elif isinstance(first, list):
        for place, (left, right) in enumerate(zip(first, second, strict=True)):
            yield from _differences(left, right, f"{key}.{place}")
    elif first != second:
        yield key


@contextmanager
def _packed(spec: Path) -> Iterator[Path]:
    """A folder with the spec and those of idleak's own sources that an audit may need, and nothing else."""
    root = Path(distributed.__file__ or "").parent.parent
    with tempfile.TemporaryDirectory(prefix="idleak-submit-") as name:
        folder = Path(name)
        for package in PACKAGES:
            sources = [path for path in (root / package).rglob("*.py") if not path.is_symlink()]
            for path in (path for path in sources if not path.is_relative_to(root / NOT_PACKED)):
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
        print_error(f"idleak: no longer followed; {job} goes on: `idleak submit --stop {job}` would stop it")
        return ExitCode.INTERRUPTED
    return _tell(job, state)


def _write(text: str) -> None:
    print(printable_lines(text), end="", flush=True)


def _tell(job: str, state: JobState) -> ExitCode | int:
    """One line, and the job's exit code; OK while it runs."""
    code = "" if state.exit_code is None else f", exit code {state.exit_code}"
    print_error(f"{job}: {state.status}{code}. {state.message}")
    if not state.has_ended:
        return ExitCode.OK
    if state.exit_code is not None and state.exit_code >= 0:
        return state.exit_code
    return {"SUCCEEDED": ExitCode.OK, "STOPPED": ExitCode.RETRY}.get(state.status, ExitCode.FAILED)
