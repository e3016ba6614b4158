"""Make the shards of a run that are not there yet."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from distributed.cluster import Capacity, Cluster
from distributed.pool import run_tasks
from distributed.shard_maker import ShardJob
from distributed.store import RunStore
from distributed.workers import ShardWorker, spawn
from schemas.errors import ShardsLostError, WrongRunError
from schemas.fingerprint import Fingerprint
from schemas.shard import LostShard, Shard, ShardReport, count_outcomes
from schemas.spec import AuditSpec


@dataclass(frozen=True)
class ShardRun:
    """The shards of one run that lie under one prefix, and what they are made from."""

    spec: AuditSpec
    fingerprint: Fingerprint
    prefix: str
    shards: Sequence[Shard]
    photos: tuple[Path, ...] | None = None

    def path(self, shard: Shard) -> str:
        return f"{self.prefix}/{shard.file_name}"

    def job(self, capacity: Capacity) -> ShardJob:
        fields = dict(self.fingerprint.fields)
        return ShardJob(self.spec, fields, self.prefix, capacity.device, capacity.threads, self.photos)


@dataclass(frozen=True)
class ShardsMade:
    """All shards of a run are there: their outcomes, how many were made now, seconds by stage."""

    outcomes: Mapping[str, int]
    shards: int
    made_now: int
    seconds: Mapping[str, float]


def committed_outcomes(run: ShardRun, store: RunStore) -> dict[int, dict[str, int]]:
    """Outcome counts of the shards that are there, by index, from one listing and their footers.

    Raises WrongRunError for a file of another fingerprint or id range, DamagedError for one that is none.
    """
    there = store.sizes(run.prefix)
    found = {}
    for shard in run.shards:
        path = run.path(shard)
        if path not in there:
            continue
        footer = store.read_footer(path)
        run.fingerprint.require(Fingerprint(footer.fingerprint), path)
        if (footer.first_id, footer.stop_id) != (shard.first_id, shard.stop_id):
            raise WrongRunError(
                f"{path} holds the ids {footer.first_id} to {footer.stop_id - 1}, this spec wants "
                f"{shard.first_id} to {shard.stop_id - 1}: raise `samples` in steps of `shard_size`, or give "
                "the spec another `output`"
            )
        found[shard.index] = footer.outcomes
    return found


def make_missing(
    run: ShardRun,
    store: RunStore,
    cluster: Cluster,
    on_report: Callable[[ShardReport], None],
    announce: Callable[[int, int, Capacity], None],
) -> ShardsMade:
    """Make the missing shards on the cluster, which is connected to only if there are any.

    `announce(rows there already, rows to make, capacity)` is called before the work, `on_report` after each
    shard. Raises ShardsLostError naming the shards that could not be made.
    """
    outcomes = committed_outcomes(run, store)
    todo = [shard for shard in run.shards if shard.index not in outcomes]
    seconds: defaultdict[str, float] = defaultdict(float)
    if todo:
        capacity = cluster.capacity(run.spec.resources)
        done = sum(shard.rows for shard in run.shards) - sum(shard.rows for shard in todo)
        announce(done, sum(shard.rows for shard in todo), capacity)

        def collect(report: ShardReport) -> None:
            outcomes[report.index] = dict(report.outcomes)
            for stage, spent in report.seconds.items():
                seconds[stage] += spent
            on_report(report)

        new_actor = partial(spawn, ShardWorker, run.job(capacity))
        lost = run_tasks(todo, new_actor, workers=capacity.workers, on_report=collect)
        require_none_lost(lost, run.prefix, len(run.shards))
    return ShardsMade(count_outcomes(list(outcomes.values())), len(run.shards), len(todo), dict(seconds))


def require_none_lost(lost: Sequence[LostShard], what: str, planned: int) -> None:
    """Raise ShardsLostError with each lost shard's index and reason."""
    if lost:
        details = "; ".join(f"{one.index} after {one.attempts} attempts ({one.reason})" for one in lost)
        raise ShardsLostError(
            f"{len(lost)} of {planned} shards of {what} were lost: {details}. The others are kept: "
            "run the same command to try these again"
        )
