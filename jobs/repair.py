"""`idleak repair RUN`: make the damaged and missing shards of a run again, and nothing else."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from distributed.execution.cluster import Cluster
from distributed.stages.sample import sample
from distributed.stages.verify import Problem, find_problems
from distributed.storage.lock import run_lock
from distributed.storage.run_record import read_record
from distributed.storage.store import RunStore
from jobs.cli.command import existing_run, guarded
from jobs.cli.exit_codes import ExitCode
from jobs.cli.say import say
from schemas.run.artefacts import SAMPLES_PREFIX


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="idleak repair", description=__doc__)
    parser.add_argument("run", metavar="RUN", help="the run's folder or bucket address: the spec's `output`")
    location: str = parser.parse_args(argv).run
    return guarded(lambda: _run(existing_run(location)))


def _run(store: RunStore) -> ExitCode:
    record = read_record(store)
    with run_lock(store), Cluster() as cluster:
        mended = [one for one in find_problems(store, record) if can_be_mended(one)]
        for one in mended:
            say(f"{one}; it is made again")
            store.delete(one.path)
        if mended:
            sample(record.spec, store, cluster)
        left = list(find_problems(store, record))
    for one in left:
        say(str(one))
    if left:
        say(f"{len(left)} problems are left that only you can mend")
        return ExitCode.DAMAGED
    say(f"{store.location}: {len(mended)} shards made again, all is complete and matches its checksums")
    return ExitCode.OK


def can_be_mended(problem: Problem) -> bool:
    """A shard of this run that is missing or damaged; what belongs to another spec is never deleted."""
    return problem.path.startswith(f"{SAMPLES_PREFIX}/") and not problem.is_foreign
