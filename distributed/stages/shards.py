"""Make the shards of a run that are not there yet."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from distributed.execution.executor import Capacity, Executor, Observer
from distributed.sampling.adapters import prepare_generator
from distributed.stages.making.maker import ShardJob
from distributed.storage.shard_index import (
    ShardRun,
    committed_footers,
    committed_outcomes,
    indexed_outcomes,
    record_lost_shards,
    write_index,
)
from distributed.storage.store import RunStore
from schemas.errors import ShardsLostError, SpecError, WrongRunError
from schemas.run.shard import LostShard, Shard, ShardReport, count_outcomes


@dataclass(frozen=True)
class ShardsMade:
    """All shards of a run are there: their outcomes, how many were made now, seconds by stage."""

    outcomes: Mapping[str, int]
    shards: int
    made_now: int
    seconds: Mapping[str, float]


def make_missing(run: ShardRun, store: RunStore, executor: Executor, observer: Observer) -> ShardsMade:
    """Make the missing shards; the executor is asked for nothing if there are none.

    Raises ShardsLostError naming the shards that could not be made, StoppedError if the run was stopped or
    no machine had room for it.
    """
    if (indexed := indexed_outcomes(run, store)) is not None:
        return ShardsMade(indexed, len(run.shards), 0, {})
    footers = committed_footers(run, store)
    outcomes = {index: footer.outcomes for index, footer in footers.items()}
    todo = [shard for shard in run.shards if shard.index not in outcomes]
    tally = _Tally(observer, outcomes)
    if todo:
        lost = _make(run, todo, executor, tally, {footer.device for footer in footers.values()})
        record_lost_shards(store, run.prefix, lost)
        require_none_lost(lost, run.prefix, len(run.shards))
        for path in store.leftovers(run.prefix):
            store.delete(path)
    counts = count_outcomes(list(outcomes.values()))
    write_index(run, store, counts)
    return ShardsMade(counts, len(run.shards), len(todo), dict(tally.seconds))


def require_made(run: ShardRun, store: RunStore, what: str = "shards") -> ShardsMade:
    """What `sample` has left. Raises SpecError unless all shards are there. what: what they are called."""
    outcomes, planned = committed_outcomes(run, store), len(run.shards)
    if missing := planned - len(outcomes):
        raise SpecError(f"{missing} of {planned} {what} are missing: run `idleak sample` first")
    return ShardsMade(count_outcomes(list(outcomes.values())), planned, 0, {})


class _Tally:
    """An observer that adds up outcomes and seconds, and passes all on."""

    def __init__(self, observer: Observer, outcomes: dict[int, dict[str, int]]) -> None:
        self.begin, self.event = observer.begin, observer.event
        self._observer, self._outcomes = observer, outcomes
        self.seconds: defaultdict[str, float] = defaultdict(float)

    def report(self, report: ShardReport) -> None:
        self._outcomes[report.index] = dict(report.outcomes)
        for stage, spent in report.seconds.items():
            self.seconds[stage] += spent
        self._observer.report(report)


def _make(
    run: ShardRun, todo: Sequence[Shard], executor: Executor, observer: Observer, devices: Collection[str]
) -> list[LostShard]:
    """Have the executor make some of a run's shards; those that were lost. devices: of what is there."""
    capacity = executor.capacity(run.spec.resources)
    _require_one_device(run, capacity.device, devices)
    job = job_of(run, capacity)
    if job.limits.workers is not None:
        capacity = replace(capacity, workers=job.limits.workers)
    rows = sum(shard.rows for shard in todo)
    observer.begin(sum(shard.rows for shard in run.shards) - rows, rows, capacity)
    return executor.run(job, todo, observer)


def _require_one_device(run: ShardRun, device: str, devices: Collection[str]) -> None:
    """Raise WrongRunError if shards of two devices would lie side by side without the spec's leave."""
    if not run.spec.resources.allow_mixed and (others := sorted(set(devices) - {device})):
        raise WrongRunError(
            f"shards of {run.prefix} were made on {', '.join(others)}, and the others would be made on "
            f"{device}, whose templates differ in their last digits: set resources.device to {others[0]}, or "
            "resources.allow_mixed to true if that is no matter"
        )


def job_of(run: ShardRun, capacity: Capacity) -> ShardJob:
    """What an actor needs to make the run's shards."""
    prepared = prepare_generator(run.spec.generator) if run.photos is None else None
    return ShardJob(
        *(run.spec, capacity.device, capacity.threads, run.photos, prepared),
        fingerprint=dict(run.fingerprint.fields),
        prefix=run.prefix,
    )


def require_none_lost(lost: Sequence[LostShard], what: str, planned: int) -> None:
    """Raise ShardsLostError with each lost shard's index and reason."""
    if lost:
        details = "; ".join(
            f"{shard.index} after {shard.attempts} attempts ({shard.reason})" for shard in lost
        )
        raise ShardsLostError(
            f"{len(lost)} of {planned} shards of {what} were lost: {details}. The others are kept: "
            "run the same command, or `idleak retry` with the run, to try these again"
        )
