"""`idleak spec`: print the reference of its keys, of the kinds of generators, or of a fleet, as Markdown."""

from __future__ import annotations

import click

from jobs.cli.arguments import require_at_most_one
from jobs.cli.exit_codes import ExitCode
from jobs.cli.strict_command import StrictCommand
from schemas.spec.reference import fleet_reference, generator_reference, spec_reference


@click.command("spec", cls=StrictCommand, help=__doc__)
@click.option("--generators", is_flag=True, help="the keys of each kind of generator")
@click.option("--fleet", is_flag=True, help="the keys of a fleet of nightly audits")
def command(*, generators: bool, fleet: bool) -> int:
    require_at_most_one({"--generators": generators, "--fleet": fleet})
    reference = generator_reference if generators else fleet_reference if fleet else spec_reference
    print(reference(), end="")
    return ExitCode.OK
