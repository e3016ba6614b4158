"""Samples of a generator that nobody of the gallery trained: an audit of them must find nobody."""

from __future__ import annotations

from distributed.execution.executor import Executor, Watch
from distributed.stages.reference import placebo_spec
from distributed.stages.sample import sample
from distributed.stages.shards import ShardsMade
from distributed.storage.run_record import with_recorded_shards
from distributed.storage.store import RunStore, open_run
from schemas.spec.audit import AuditSpec


def sample_placebo(spec: AuditSpec, executor: Executor, watch: Watch) -> ShardsMade | None:
    """Make the missing shards of the placebo's samples, as large as the audit's; None without one. Raises as
    `sample`."""
    placebo = placebo_spec(with_recorded_shards(spec, open_run(spec)))
    if placebo is None:
        return None
    return sample(placebo, open_run(placebo), executor, watch, "sampling the placebo")


def sample_with_placebo(
    spec: AuditSpec, store: RunStore, executor: Executor, watch: Watch
) -> tuple[ShardsMade, ShardsMade | None]:
    """Make the missing shards of the samples, and those of the placebo's, if there is one. Raises as
    `sample`."""
    return sample(spec, store, executor, watch), sample_placebo(spec, executor, watch)
