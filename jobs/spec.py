"""`idleak spec`: print the reference of its keys, of generators, people or a fleet, as Markdown."""

from __future__ import annotations

import click

from jobs.cli.arguments import require_at_most_one
from jobs.cli.exit_codes import ExitCode
from jobs.cli.strict_command import StrictCommand
from schemas.spec.reference import fleet_reference, generator_reference, people_reference, spec_reference


@click.command("spec", cls=StrictCommand, help=__doc__)
@click.option("--generators", is_flag=True, help="the keys of each kind of generator")
@click.option("--people", is_flag=True, help="the keys of each kind of source of people")
@click.option("--fleet", is_flag=True, help="the keys of a fleet of nightly audits")
def command(*, generators: bool, people: bool, fleet: bool) -> int:
    require_at_most_one({"--generators": generators, "--people": people, "--fleet": fleet})
    if generators:
        reference = generator_reference()
    elif people:
        reference = people_reference()
    else:
        reference = fleet_reference() if fleet else spec_reference()
    print(reference, end="")
    return ExitCode.OK
