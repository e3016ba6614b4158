"""How many samples a second a worker makes, measured on one of them without writing."""

from __future__ import annotations

import time
from concurrent.futures import Future
from dataclasses import dataclass, replace

from distributed.execution.executor import Capacity, Executor, TaskLimits, Unobserved
from distributed.sampling.adapters import prepare_generator
from distributed.stages.making.embedder import Embedder
from distributed.stages.making.opening import open_embedder
from distributed.stages.making.setup import Setup
from schemas.errors import ShardsLostError
from schemas.run.shard import Shard, ShardReport
from schemas.spec.audit import AuditSpec

PROBE_SECONDS = 1.0
RATE = "samples_per_second"


def measured_rate(spec: AuditSpec, capacity: Capacity, executor: Executor) -> float:
    """Raises ShardsLostError if no worker can make any."""
    prepared = prepare_generator(spec.generator)
    job = RateJob(spec, capacity.device, capacity.threads, prepared=prepared)
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
class RateJob(Setup):
    """A job that opens as a worker's own does, and writes nothing."""

    @property
    def limits(self) -> TaskLimits:
        return replace(super().limits, workers=1)

    def open(self) -> RateProbe:
        self.settle()
        return RateProbe(open_embedder(self))


class RateProbe:
    """Times the first samples on one worker, as many as take PROBE_SECONDS."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder

    def start(self, shard: Shard) -> Future[ShardReport]:
        """See `Maker`. shard: all samples."""
        rate = samples_per_second(self._embedder, shard.rows)
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
