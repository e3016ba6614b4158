"""Make the shards of a run that are not there yet."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from distributed.execution.cluster import Capacity, Cluster
from distributed.execution.pool import run_tasks
from distributed.execution.workers import ShardWorker, spawn
from distributed.sampling.adapters import prepare_generator
from distributed.stages.embed import ShardJob
from distributed.storage.lost_shards import set_aside
from distributed.storage.shard_index import ShardRun, committed_outcomes, indexed_outcomes, write_index
from distributed.storage.store import RunStore
from schemas.errors import ShardsLostError
from schemas.events import WorkEvent
from schemas.run.shard import LostShard, Shard, ShardReport, count_outcomes


@dataclass(frozen=True)
class ShardsMade:
    """All shards of a run are there: their outcomes, how many were made now, seconds by stage."""

    outcomes: Mapping[str, int]
    shards: int
    made_now: int
    seconds: Mapping[str, float]


def make_missing(
    run: ShardRun,
    store: RunStore,
    cluster: Cluster,
    on_report: Callable[[ShardReport], None],
    announce: Callable[[int, int, Capacity], None],
    on_event: Callable[[WorkEvent], None],
) -> ShardsMade:
    """Make the missing shards on the cluster, which is connected to only if there are any.

    `announce(rows there already, rows to make, capacity)` is called before the work, `on_report` after each
    shard, `on_event` with what becomes of shards and workers. Raises ShardsLostError naming the
    shards that could not be made, StoppedError if the run was stopped or no machine had room for it.
    """
    if (indexed := indexed_outcomes(run, store)) is not None:
        return ShardsMade(indexed, len(run.shards), 0, {})
    outcomes = committed_outcomes(run, store)
    todo = [shard for shard in run.shards if shard.index not in outcomes]
    seconds: defaultdict[str, float] = defaultdict(float)
    if todo:

        def collect(report: ShardReport) -> None:
            outcomes[report.index] = dict(report.outcomes)
            for stage, spent in report.seconds.items():
                seconds[stage] += spent
            on_report(report)

        lost = _make(run, todo, cluster, collect, announce, on_event)
        set_aside(store, run.prefix, lost)
        require_none_lost(lost, run.prefix, len(run.shards))
    counts = count_outcomes(list(outcomes.values()))
    write_index(run, store, counts)
    return ShardsMade(counts, len(run.shards), len(todo), dict(seconds))


def _make(
    run: ShardRun,
    todo: Sequence[Shard],
    cluster: Cluster,
    on_report: Callable[[ShardReport], None],
    announce: Callable[[int, int, Capacity], None],
    on_event: Callable[[WorkEvent], None],
) -> list[LostShard]:
    """Have the cluster make some of a run's shards; those that were lost."""
    capacity = cluster.capacity(run.spec.resources)
    room = cluster.room(run.spec.resources, capacity)
    if run.spec.generator.one_worker and run.photos is None:
        capacity, room = replace(capacity, workers=1), _one
    rows = sum(shard.rows for shard in todo)
    announce(sum(shard.rows for shard in run.shards) - rows, rows, capacity)
    return run_tasks(
        todo,
        partial(spawn, ShardWorker, job_of(run, capacity)),
        workers=room,
        on_report=on_report,
        on_event=on_event,
        deadline=run.spec.limits.shard_seconds,
        room_seconds=run.spec.resources.wait_seconds,
    )


def _one() -> int:
    return 1


def job_of(run: ShardRun, capacity: Capacity) -> ShardJob:
    """What an actor needs to make the run's shards."""
    fields = dict(run.fingerprint.fields)
    prepared = prepare_generator(run.spec.generator) if run.photos is None else None
    return ShardJob(run.spec, fields, run.prefix, capacity.device, capacity.threads, run.photos, prepared)


def require_none_lost(lost: Sequence[LostShard], what: str, planned: int) -> None:
    """Raise ShardsLostError with each lost shard's index and reason."""
    if lost:
        details = "; ".join(f"{one.index} after {one.attempts} attempts ({one.reason})" for one in lost)
        raise ShardsLostError(
            f"{len(lost)} of {planned} shards of {what} were lost: {details}. The others are kept: "
            "run the same command, or `idleak retry` with the run, to try these again"
        )
