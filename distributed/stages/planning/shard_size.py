"""How many samples a shard has where the spec leaves it open: about a minute of one worker's work."""

from __future__ import annotations

import logging
import math

from distributed.execution.executor import Capacity, Executor
from distributed.stages.making.rate import measured_rate
from distributed.storage.run_record import with_recorded_shards
from distributed.storage.store import RunStore
from schemas.spec.audit import MOST_SHARD, MOST_SHARDS, AuditSpec
from schemas.spec.generators.http import HttpGenerator

SHARD_SECONDS, LEAST_SECONDS = 60.0, 5.0
SHARDS_PER_WORKER = 16
"""With fewer the last shard of each worker leaves the others idle: docs/scaling.md."""

log = logging.getLogger(__name__)


def settle_shards(spec: AuditSpec, store: RunStore, executor: Executor) -> AuditSpec:
    """The spec with a number as its shard size: its own, that of the run that was begun, or by a probe on one
    worker. Raises what making a shard raises."""
    spec = with_recorded_shards(spec, store)
    if spec.shard_size != "auto":
        return spec
    capacity = executor.capacity(spec.resources)
    size = shard_size(spec, capacity, _rate(spec, capacity, executor))
    log.info("shard_size: auto is %d samples", size)
    return spec.model_copy(update={"shard_size": size})


def shard_size(spec: AuditSpec, capacity: Capacity, rate: float) -> int:
    """Samples of a shard, two digits that matter; rate: samples per second of one worker.

    A minute's, half of what `limits.shard_seconds` allows at most; fewer where the run is too short for
    SHARDS_PER_WORKER of these, down to LEAST_SECONDS of work.
    """
    longest = min(SHARD_SECONDS, spec.limits.shard_seconds / 2)
    even = spec.samples / (SHARDS_PER_WORKER * capacity.workers)
    wanted = min(max(even, LEAST_SECONDS * rate), longest * rate)
    least = math.ceil(spec.samples / MOST_SHARDS)
    return max(least, min(_rounded(wanted), spec.samples, MOST_SHARD))


def _rounded(count: float) -> int:
    unit = math.pow(10, max(0, math.floor(math.log10(max(count, 1))) - 1))
    return max(1, int(count // unit * unit))


def _rate(spec: AuditSpec, capacity: Capacity, executor: Executor) -> float:
    if isinstance(spec.generator, HttpGenerator):
        # Nothing is asked of an API that is not for the audit itself.
        return spec.generator.rate * spec.generator.batch / capacity.workers
    return measured_rate(spec, capacity, executor)
