"""`idleak retry RUN`: try the shards again that were set aside after all their attempts, and only those."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from distributed.execution.cluster import Cluster
from distributed.stages.sample import sample
from distributed.storage.lock import run_lock
from distributed.storage.lost_shards import shards_set_aside
from distributed.storage.run_record import read_record
from distributed.storage.store import RunStore
from jobs.cli.command import existing_run, guarded
from jobs.cli.exit_codes import ExitCode
from schemas.errors import SpecError
from schemas.run.artefacts import SAMPLES_PREFIX


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="idleak retry", description=__doc__)
    parser.add_argument("run", metavar="RUN", help="the run's folder or bucket address: the spec's `output`")
    location: str = parser.parse_args(argv).run
    return guarded(lambda: _run(existing_run(location)))


def _run(store: RunStore) -> ExitCode:
    lost = shards_set_aside(store, SAMPLES_PREFIX)
    if not lost:
        raise SpecError(f"no shard of {store.location} was set aside; run the audit to go on with it")
    spec = read_record(store).spec
    with run_lock(store), Cluster() as cluster:
        made = sample(spec, store, cluster)
    print(f"{made.made_now:,} shards made; all {made.shards:,} are there: run the audit for its verdicts")
    return ExitCode.OK
