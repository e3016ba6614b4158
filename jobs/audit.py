"""`idleak audit SPEC`: sample, enroll, reduce, and say who is leaked. Run again, it resumes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from distributed.stages.finished import is_finished
from distributed.storage.store import RunStore
from jobs.cli.arguments import FILE, override_option, spec_argument
from jobs.cli.command import acting, guarded
from jobs.cli.exit_codes import ExitCode
from jobs.cli.findings import print_findings, refused_lines
from jobs.cli.os_errors import os_errors_told
from jobs.cli.overlap import overlap_lines
from jobs.cli.ray import ray_executor
from jobs.cli.say import notice_lines, say
from jobs.cli.strict_command import StrictCommand
from jobs.pages.finished_run import read_finished
from jobs.pages.gate.gate import Finding, judge
from jobs.pages.gate.outputs import GateOutputs, prepare, write
from schemas.errors import IdleakError
from schemas.run.artefacts import ERROR_FILE, GALLERY_FILE
from schemas.spec.audit import AuditSpec
from schemas.spec.load import load_spec

if TYPE_CHECKING:
    from distributed.stages.enroll import Enrolment


@click.command("audit", cls=StrictCommand, help=__doc__)
@spec_argument
@click.option("--unnamed", is_flag=True, help="print nobody's name: for logs that others than auditors read")
@click.option(
    "--fail-on",
    type=click.Choice([finding.value for finding in Finding]),
    multiple=True,
    help="end with exit code 6 if a candidate has this finding; may be repeated",
)
@click.option("--junit", type=FILE, metavar="FILE", help="write a JUnit report: one test a candidate")
@click.option("--sarif", type=FILE, metavar="FILE", help="write the findings as SARIF 2.1.0")
@click.option("--summary", type=FILE, metavar="FILE", help="write a summary in Markdown")
@click.option("--github-summary", is_flag=True, help="append the summary to $GITHUB_STEP_SUMMARY")
@override_option
def command(
    spec: Path, *, unnamed: bool, override: str | None, fail_on: Sequence[str], **outputs: Any
) -> int:
    gate_outputs = GateOutputs(tuple(map(Finding, fail_on)), **outputs)
    return guarded(lambda: _gated(spec, gate_outputs, override, named=not unnamed))


def _gated(path: Path, outputs: GateOutputs, override: str | None, *, named: bool) -> ExitCode:
    spec = load_spec(path)
    prepare(outputs)
    store = _run(spec, override, named=named)
    if not outputs.wanted:
        return ExitCode.OK
    gate = judge(read_finished(store), outputs.fail_on)
    write(gate, outputs, path)
    if gate.fail_on:
        failed = sum(bool(person.failures) for person in gate.people)
        outcome = f"failed, by {failed:,} of {len(gate.people):,} candidates" if failed else "passed"
        say(f"gate on {', '.join(gate.fail_on)}: {outcome}")
    return ExitCode.OK if gate.passed else ExitCode.NEW_FINDINGS


def _run(spec: AuditSpec, override: str | None, *, named: bool) -> RunStore:
    with acting("audit", spec, override) as store, nullcontext() if named else _unnamed(store):
        if is_finished(spec, store):
            _say_refused(refused_lines(store.read_table(GALLERY_FILE)), named=named)
        else:
            _do(spec, store, named=named)
    print_findings(store, named=named)
    return store


def _do(spec: AuditSpec, store: RunStore, *, named: bool) -> None:
    # Imported only here: a finished audit needs no Ray, no models and no FAISS, and is told in a second.
    from distributed.stages.audit import audit
    from jobs.cli.progress import watching

    def tell(enrolment: Enrolment) -> None:
        say(*notice_lines(enrolment.notices, named=False))
        _say_refused(refused_lines(enrolment.table, enrolment.reasons), named=named)
        say(*overlap_lines(enrolment.overlap, named=named))

    with ray_executor() as executor:
        audit(spec, store, executor, watching(store, spec), tell)


def _say_refused(lines: Sequence[str], *, named: bool) -> None:
    for line in lines if named else [f"refused photos: {len(lines)}"] if lines else []:
        say(line)


@contextmanager
def _unnamed(store: RunStore) -> Iterator[None]:
    """Keep an error whose message may name somebody in the run's folder, and tell where it is."""
    try:
        with os_errors_told():
            yield
    except IdleakError as error:
        if not error.may_name_people:
            raise
        store.write(ERROR_FILE, f"{error}\n".encode())
        raise type(error)(
            f"{type(error).__name__}: {ERROR_FILE} in {store.location} says what, and may name people"
        ) from error
    store.delete(ERROR_FILE)
