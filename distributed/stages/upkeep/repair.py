"""Make again the shards of a run that are damaged or missing, or that failed all their attempts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from distributed.execution.executor import Executor, Watch
from distributed.stages.placebo import sample_with_placebo
from distributed.stages.reference import placebo_spec
from distributed.stages.shards import ShardsMade
from distributed.stages.upkeep.verify import Problem, can_be_repaired, find_problems
from distributed.storage.lock import run_lock
from distributed.storage.run_record import read_record
from distributed.storage.shard_index import read_lost_shards
from distributed.storage.store import RunStore, open_run
from schemas.errors import UsageError
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
            sample_with_placebo(spec, store, executor, watch(spec))
        return Repair(len(repairable), list(find_problems(store)))


def retry(store: RunStore, executor: Executor, watch: WatchOf) -> ShardsMade:
    """Make the shards that failed all their attempts. Raises UsageError without any, and as
    `sample`."""
    spec = read_record(store).spec
    placebo = placebo_spec(spec)
    within = [] if placebo is None else read_lost_shards(open_run(placebo))
    if not (read_lost_shards(store) or within):
        raise UsageError(
            f"no shard of {store.location} has failed all its attempts; run the audit to go on with it"
        )
    with run_lock(store):
        made, of_placebo = sample_with_placebo(spec, store, executor, watch(spec))
    if of_placebo is None:
        return made
    return replace(made, shards=made.shards + of_placebo.shards, made_now=made.made_now + of_placebo.made_now)
