"""Shards made on Ray, with clocks inside the workers: starting up and loading models are not counted."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from distributed.execution.pool import run_tasks
from distributed.execution.workers import ShardWorker, spawn
from distributed.stages.embed import BATCH_IMAGES, ShardJob
from distributed.stages.shards import require_none_lost
from schemas.errors import DeviceError
from schemas.run.shard import Shard, plan_shards

MEET_SECONDS, POLL_SECONDS = 120.0, 0.002
SHARDS_PER_WORKER = 4


@dataclass(frozen=True)
class Stint:
    """One piece of work: who did it, from when to when by the machine's clock, and its images."""

    worker: int
    start: float
    stop: float
    rows: int


def steady_rate(stints: Sequence[Stint]) -> float:
    """Images per second while all workers had work: from the last one's start to the first one's end.

    A stint that lies partly in that time counts in part.
    """
    workers = {one.worker for one in stints}
    start = max(min(one.start for one in stints if one.worker == worker) for worker in workers)
    stop = min(max(one.stop for one in stints if one.worker == worker) for worker in workers)
    inside = (max(0.0, min(one.stop, stop) - max(one.start, start)) for one in stints)
    done = sum(one.rows * within / (one.stop - one.start) for one, within in zip(stints, inside, strict=True))
    return done / (stop - start)


@dataclass(frozen=True)
class Meeting:
    """Where `workers` processes of this machine wait, in a folder, until all of them are warm."""

    folder: Path
    workers: int

    def wait(self) -> None:
        """Raises DeviceError if the others do not come."""
        (self.folder / str(os.getpid())).touch()
        end = time.monotonic() + MEET_SECONDS
        while len(list(self.folder.iterdir())) < self.workers:
            if time.monotonic() > end:
                raise DeviceError(
                    f"not all {self.workers} workers started in {MEET_SECONDS:g} s: free some cores"
                )
            time.sleep(POLL_SECONDS)


@dataclass(frozen=True, kw_only=True)
class ClockedJob(ShardJob):
    """A job whose workers meet before they begin."""

    meeting: Meeting


class ClockedWorker:
    """The audit's own worker, warmed up, with a clock around each shard."""

    def __init__(self, job: ClockedJob) -> None:
        self._job = job
        self._worker: ShardWorker | None = None

    def run(self, shard: Shard) -> Stint:
        if self._worker is None:
            self._worker = ShardWorker(self._job)
            # A part of the same shard, which is then made whole.
            self._worker.run(replace(shard, stop_id=min(shard.stop_id, shard.first_id + BATCH_IMAGES)))
            self._job.meeting.wait()
        start = time.perf_counter()
        self._worker.run(shard)
        return Stint(os.getpid(), start, time.perf_counter(), shard.rows)


def bench_shards(images: int, workers: int = 1) -> list[Shard]:
    """`images` for each worker, in SHARDS_PER_WORKER shards each."""
    return plan_shards(images * workers, -(-images // SHARDS_PER_WORKER))


def ray_rate(job: ShardJob, images: int, workers: int) -> float:
    """Images per second of so many Ray workers, `images` for each. Needs a connected Ray on this machine."""
    stints: list[Stint] = []
    shards = bench_shards(images, workers)
    with TemporaryDirectory() as folder:
        meeting = Meeting(Path(folder), workers)
        clocked = ClockedJob(**vars(job), meeting=meeting)
        lost = run_tasks(
            shards, partial(spawn, ClockedWorker, clocked), workers=lambda: workers, on_report=stints.append
        )
    require_none_lost(lost, job.prefix, len(shards))
    return steady_rate(stints)
