"""`idleak plan SPEC`: what an audit would cost and what it could find. Writes nothing."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from distributed.stages.plan import capacity_here, count_photos, power_rows, work_rows
from jobs.cli.command import spec_command
from jobs.cli.exit_codes import ExitCode
from jobs.cli.say import cell
from schemas.spec.audit import AuditSpec


def main(argv: Sequence[str]) -> int:
    return spec_command("plan", __doc__, argv, _run)


def _run(spec: AuditSpec) -> ExitCode:
    capacity = capacity_here(spec)
    people = count_photos(spec)
    table = Table("", "plan", show_header=False)
    for name, text in [*work_rows(spec, capacity), *power_rows(spec, people)]:
        table.add_row(name, cell(text))
    Console().print(table)
    return ExitCode.OK
