"""Make again the shards of a run that are damaged or missing, or that failed all their attempts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from distributed.execution.executor import Executor, Watch
from distributed.stages.sample import sample
from distributed.stages.shards import ShardsMade
from distributed.stages.upkeep.verify import Problem, can_be_repaired, find_problems
from distributed.storage.lock import run_lock
from distributed.storage.run_record import read_record
from distributed.storage.shard_index import read_lost_shards
from distributed.storage.store import RunStore
from schemas.errors import UsageError
from schemas.run.artefacts import SAMPLES_PREFIX
from schemas.spec.audit import AuditSpec

WatchOf = Callable[[AuditSpec], Watch]


@dataclass(frozen=True)
class Repair:
    """How many shards were made again, and what is still wrong with the run."""

    made: int
    left: Sequence[Problem]


def repair(
    store: RunStore, executor: Executor, watch: WatchOf, on_problem: Callable[[Problem], object]
) -> Repair:
    """Delete what is damaged of the run's samples, and make it and what is missing. Raises as `sample`.

    on_problem: is called with each before it is deleted.
    """
    spec = read_record(store).spec
    with run_lock(store):
        repairable = [problem for problem in find_problems(store) if can_be_repaired(problem)]
        for problem in repairable:
            on_problem(problem)
            store.delete(problem.path)
        if repairable:
            sample(spec, store, executor, watch(spec))
        return Repair(len(repairable), list(find_problems(store)))


def retry(store: RunStore, executor: Executor, watch: WatchOf) -> ShardsMade:
    """Make the shards that failed all their attempts. Raises UsageError without any, and as
    `sample`."""
    if not read_lost_shards(store, SAMPLES_PREFIX):
        raise UsageError(
            f"no shard of {store.location} has failed all its attempts; run the audit to go on with it"
        )
    spec = read_record(store).spec
    with run_lock(store):
        return sample(spec, store, executor, watch(spec))
