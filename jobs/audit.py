"""`idleak audit SPEC`: sample, enroll, reduce, and say who is leaked. Run again, it resumes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from jobs.api.auditing import carry_out
from jobs.cli.arguments import FILE, StrictCommand, override_option, spec_argument
from jobs.cli.exit_codes import ExitCode
from jobs.cli.findings import print_findings
from jobs.cli.say import say
from jobs.pages.finished_run import read_finished
from jobs.pages.gate.gate import Finding, judge
from jobs.pages.gate.outputs import GateOutputs, prepare, write
from schemas.spec.load import load_spec


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
    spec: Path, *, unnamed: bool, override: str | None, fail_on: Sequence[str], **files: Any
) -> ExitCode:
    outputs, audited = GateOutputs(tuple(map(Finding, fail_on)), **files), load_spec(spec)
    prepare(outputs)
    store = carry_out(audited, override, say, named=not unnamed, bar=True)
    print_findings(store, named=not unnamed)
    if not outputs.wanted:
        return ExitCode.OK
    gate = judge(read_finished(store), outputs.fail_on)
    write(gate, outputs, spec)
    if gate.fail_on:
        failed = sum(bool(person.failures) for person in gate.people)
        outcome = f"failed, by {failed:,} of {len(gate.people):,} candidates" if failed else "passed"
        say(f"gate on {', '.join(gate.fail_on)}: {outcome}")
    return ExitCode.OK if gate.passed else ExitCode.NEW_FINDINGS
