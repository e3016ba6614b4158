"""`idleak retry RUN`: try the shards again that failed all their attempts, and only those."""

from __future__ import annotations

import click

from jobs.cli.arguments import StrictCommand, run_argument
from jobs.cli.exit_codes import ExitCode
from jobs.cli.runs import existing_run
from jobs.cli.say import say, say_next
from jobs.cli.work import ray_executor, watching


@click.command("retry", cls=StrictCommand, help=__doc__)
@run_argument
def command(run: str) -> ExitCode:
    # onnxruntime, which takes seconds to import.
    from distributed.stages.upkeep.repair import retry

    store = existing_run(run)
    with ray_executor() as executor:
        made = retry(store, executor, lambda spec: watching(store, spec))
    say(f"{store.location}: {made.made_now:,} shards made; all {made.shards:,} are there")
    say_next("idleak audit SPEC, the same as before, gives the verdicts")
    return ExitCode.OK
