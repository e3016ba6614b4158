"""How many samples a shard has where the spec leaves it open: about a minute of one worker's work."""

from __future__ import annotations

import logging
import math
import time
from concurrent.futures import Future
from dataclasses import dataclass, replace

from distributed.execution.executor import Capacity, Executor, TaskLimits, Unobserved
from distributed.sampling.adapters import prepare_generator
from distributed.stages.embed import Embedder, ShardJob, ShardMaker
from distributed.storage.run_record import with_recorded_shards
from distributed.storage.store import RunStore
from schemas.errors import ShardsLostError
from schemas.run.shard import Shard, ShardReport
from schemas.spec.audit import MOST_SHARD, MOST_SHARDS, AuditSpec
from schemas.spec.generators.http import HttpGenerator

SHARD_SECONDS, LEAST_SECONDS = 60.0, 5.0
SHARDS_PER_WORKER = 16
"""With fewer the last shard of each worker leaves the others idle: docs/scaling.md."""
PROBE_SECONDS = 1.0
RATE = "samples_per_second"

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
    prepared = prepare_generator(spec.generator)
    job = RateJob(spec, {}, "", capacity.device, capacity.threads, prepared=prepared)
    probe = _Probe()
    lost = executor.run(job, [Shard(0, 0, spec.samples)], probe)
    if lost:
        raise ShardsLostError(f"the probe for shard_size: auto failed ({lost[0].reason}); give it a number")
    return probe.rate


class _Probe(Unobserved):
    rate = 0.0

    def report(self, report: ShardReport) -> None:
        self.rate = report.seconds[RATE]


@dataclass(frozen=True)
class RateJob(ShardJob):
    """A job that opens as a worker's own does, and writes nothing."""

    @property
    def limits(self) -> TaskLimits:
        return replace(super().limits, workers=1)

    def open(self) -> RateProbe:
        return RateProbe(self, super().open().embedder)


class RateProbe(ShardMaker):
    """Times the first samples on one worker, as many as take PROBE_SECONDS."""

    def start(self, shard: Shard) -> Future[ShardReport]:
        """See `Maker`. shard: all samples."""
        rate = samples_per_second(self.embedder, shard.rows)
        future: Future[ShardReport] = Future()
        future.set_result(ShardReport(shard.index, shard.rows, {}, 0, {RATE: rate}))
        return future


def samples_per_second(embedder: Embedder, samples: int) -> float:
    """Of one worker, without writing, by up to so many samples, after one batch to warm up."""
    rows = min(embedder.images_at_once, samples)
    embedder.embed(Shard(0, 0, rows))
    while True:
        start = time.perf_counter()
        embedder.embed(Shard(0, 0, rows))
        seconds = time.perf_counter() - start
        if seconds >= PROBE_SECONDS or rows == samples:
            return rows / seconds
        rows = min(2 * rows, samples)
