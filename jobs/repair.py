"""`idleak repair RUN`: make the damaged and missing shards of a run again, and nothing else."""

from __future__ import annotations

import click

from distributed.stages.upkeep.verify import advice
from jobs.cli.arguments import StrictCommand, run_argument
from jobs.cli.exit_codes import ExitCode
from jobs.cli.runs import existing_run
from jobs.cli.say import say, say_next
from jobs.cli.work import ray_executor, watching


@click.command("repair", cls=StrictCommand, help=__doc__)
@run_argument
def command(run: str) -> ExitCode:
    # onnxruntime, which takes seconds to import.
    from distributed.stages.upkeep.repair import repair

    store = existing_run(run)
    with ray_executor() as executor:
        repaired = repair(
            store,
            executor,
            lambda spec: watching(store, spec),
            lambda problem: say(f"{problem}; it is made again"),
        )
    if repaired.left:
        say(*map(str, repaired.left))
        say(f"{len(repaired.left)} problems are left; {advice(repaired.left, store.location)}")
        return ExitCode.DAMAGED
    say(
        f"{store.location}: {repaired.made} shards made again; all shards and the gallery match their "
        "checksums"
    )
    say_next(f"idleak verify {store.location} checks the files that were made of them")
    return ExitCode.OK
