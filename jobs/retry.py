"""`idleak retry RUN`: try the shards again that failed all their attempts, and only those."""

from __future__ import annotations

import click

from distributed.storage.lock import run_lock
from distributed.storage.lost_shards import read_lost_shards
from distributed.storage.run_record import read_record
from distributed.storage.store import RunStore
from jobs.cli.arguments import StrictCommand, run_argument
from jobs.cli.exit_codes import ExitCode, guarded
from jobs.cli.runs import existing_run
from jobs.cli.work import ray_executor, watching
from schemas.errors import UsageError
from schemas.run.artefacts import SAMPLES_PREFIX


@click.command("retry", cls=StrictCommand, help=__doc__)
@run_argument
def command(run: str) -> int:
    return guarded(lambda: _run(existing_run(run)))


def _run(store: RunStore) -> ExitCode:
    # onnxruntime, which takes seconds to import.
    from distributed.stages.sample import sample

    lost = read_lost_shards(store, SAMPLES_PREFIX)
    if not lost:
        raise UsageError(
            f"no shard of {store.location} has failed all its attempts; run the audit to go on with it"
        )
    spec = read_record(store).spec
    with run_lock(store), ray_executor() as executor:
        made = sample(spec, store, executor, watching(store, spec))
    print(f"{made.made_now:,} shards made; all {made.shards:,} are there: run the audit for its verdicts")
    return ExitCode.OK
