"""How far a run is, by what its folder holds: for whoever looks at it from outside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from distributed.storage.erasures import read_tombstone
from distributed.storage.lock import Holder, lock_holder
from distributed.storage.progress_record import read_progress
from distributed.storage.results_file import read_results
from distributed.storage.run_record import read_record
from distributed.storage.shard_index import ShardRun, committed_outcomes, read_lost_shards
from distributed.storage.store import RunStore
from schemas.errors import UsageError
from schemas.fingerprint import Fingerprint
from schemas.run.artefacts import PLACEBO_PREFIX, RECORD_FILE, RESULTS_FILE
from schemas.run.erasures import Tombstone
from schemas.run.progress import StageProgress
from schemas.run.shard import LostShard, count_outcomes, plan_shards
from schemas.run.tables import invalid_count
from schemas.spec.audit import AuditSpec


@dataclass(frozen=True)
class SamplesState:
    """The samples that are there, with their outcomes, in so many shards of those planned. lost: shards that
    the last attempt could not make."""

    planned: int
    outcomes: Mapping[str, int]
    shards: int
    planned_shards: int
    lost: Sequence[LostShard] = ()

    @property
    def there(self) -> int:
        return sum(self.outcomes.values())

    @property
    def invalid(self) -> int:
        return invalid_count(self.outcomes)


@dataclass(frozen=True)
class RunState:
    """How far a run is. holder: who works on it. progress: of the stage that was at work last.

    samples: None without a record. placebo: None without `membership.placebo`.
    """

    holder: Holder | None
    progress: StageProgress | None
    samples: SamplesState | None
    placebo: SamplesState | None
    is_finished: bool


def read_state(store: RunStore) -> RunState | Tombstone:
    """The tombstone, of a run that was purged. Raises UsageError if there is no run, DamagedError for a file
    that cannot be read."""
    if (stone := read_tombstone(store)) is not None:
        return stone
    holder, progress, recorded = lock_holder(store), read_progress(store), store.exists(RECORD_FILE)
    if not (holder or progress or recorded):
        raise UsageError(f"{store.location} holds no run: give the `output` of a spec")
    placebo = RunStore(f"{store.location}/{PLACEBO_PREFIX}", store.vault)
    return RunState(
        holder=holder,
        progress=progress,
        samples=_samples(store) if recorded else None,
        placebo=_placebo(read_record(store).spec, placebo) if recorded else None,
        is_finished=store.exists(RESULTS_FILE),
    )


def job_seconds(store: RunStore) -> dict[str, float]:
    """Seconds of each job of a finished run; the stages of their shards overlap, and are left out."""
    return {name: spent for name, spent in read_results(store).seconds.items() if "." not in name}


def _samples(store: RunStore) -> SamplesState:
    record = read_record(store)
    run = ShardRun.of_samples(record.spec, Fingerprint(record.fingerprint))
    made = committed_outcomes(run, store)
    outcomes = count_outcomes(list(made.values()))
    lost = read_lost_shards(store)
    return SamplesState(record.spec.samples, outcomes, len(made), len(run.shards), lost)


def _placebo(spec: AuditSpec, store: RunStore) -> SamplesState | None:
    """spec: of the audit, which the placebo is sampled as often as. store: of the placebo's run."""
    if spec.membership.placebo is None:
        return None
    if store.exists(RECORD_FILE):
        return _samples(store)
    return SamplesState(spec.samples, {}, 0, len(plan_shards(spec.samples, spec.samples_per_shard)))
