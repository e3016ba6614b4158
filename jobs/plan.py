"""`idleak plan SPEC`: what an audit would cost and what it could find. Writes nothing."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from jobs.api.planning import plan_of
from jobs.cli.arguments import StrictCommand, spec_argument
from jobs.cli.exit_codes import ExitCode
from jobs.cli.say import cell, say, say_next
from schemas.spec.load import load_spec


@click.command("plan", cls=StrictCommand, help=__doc__)
@spec_argument
def command(spec: Path) -> ExitCode:
    plan = plan_of(load_spec(spec))
    table = Table("", "plan", show_header=False)
    for name, text in plan.rows:
        table.add_row(name, cell(text))
    Console().print(table)
    say(*plan.notices)
    if plan.problem is not None:
        raise plan.problem
    say_next(f"idleak audit {spec}")
    return ExitCode.OK
