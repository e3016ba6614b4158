"""`idleak plan SPEC`: what an audit would cost and what it could find. Writes nothing."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from jobs.cli.arguments import spec_argument
from jobs.cli.command import guarded
from jobs.cli.exit_codes import ExitCode
from jobs.cli.say import cell
from jobs.cli.strict_command import StrictCommand
from schemas.spec.audit import AuditSpec
from schemas.spec.load import load_spec


@click.command("plan", cls=StrictCommand, help=__doc__)
@spec_argument
def command(spec: Path) -> int:
    return guarded(lambda: _run(load_spec(spec)))


def _run(spec: AuditSpec) -> ExitCode:
    # Torch and onnxruntime, which take seconds to import.
    from distributed.stages.plan import capacity_here, count_photos, power_rows, work_rows

    capacity = capacity_here(spec)
    people = count_photos(spec)
    table = Table("", "plan", show_header=False)
    for name, text in [*work_rows(spec, capacity), *power_rows(spec, people)]:
        table.add_row(name, cell(text))
    Console().print(table)
    return ExitCode.OK
