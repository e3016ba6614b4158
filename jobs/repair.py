"""`idleak repair RUN`: make the damaged and missing shards of a run again, and nothing else."""

from __future__ import annotations

import click

from distributed.stages.verify import advice, can_be_repaired, find_problems
from distributed.storage.lock import run_lock
from distributed.storage.run_record import read_record
from distributed.storage.store import RunStore
from jobs.cli.arguments import StrictCommand, run_argument
from jobs.cli.exit_codes import ExitCode, guarded
from jobs.cli.runs import existing_run
from jobs.cli.say import say
from jobs.cli.work import ray_executor, watching


@click.command("repair", cls=StrictCommand, help=__doc__)
@run_argument
def command(run: str) -> int:
    return guarded(lambda: _run(existing_run(run)))


def _run(store: RunStore) -> ExitCode:
    # onnxruntime, which takes seconds to import.
    from distributed.stages.sample import sample

    record = read_record(store)
    with run_lock(store), ray_executor() as executor:
        repairable = [problem for problem in find_problems(store, record) if can_be_repaired(problem)]
        for problem in repairable:
            say(f"{problem}; it is made again")
            store.delete(problem.path)
        if repairable:
            sample(record.spec, store, executor, watching(store, record.spec))
        left = list(find_problems(store, record))
    for problem in left:
        say(str(problem))
    if left:
        say(f"{len(left)} problems are left; {advice(left, store.location)}")
        return ExitCode.DAMAGED
    say(
        f"{store.location}: {len(repairable)} shards made again; all shards and the gallery match their "
        "checksums; `idleak verify` checks the files that were made of them"
    )
    return ExitCode.OK
