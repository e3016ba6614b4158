"""Shards made on Ray, with clocks inside the workers: starting up and loading models are not counted."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from distributed.execution.ray_actors import RayActors
from distributed.execution.schedule import Schedule
from distributed.execution.worker import spawner
from distributed.stages.making.maker import ShardJob, ShardMaker
from distributed.stages.shards import require_none_lost
from schemas.errors import DeviceError
from schemas.run.shard import BATCH_IMAGES, Shard, ShardReport, plan_shards
from schemas.spec.audit import AuditSpec

MEET_SECONDS, POLL_SECONDS = 120.0, 0.002
SHARDS_PER_WORKER = 4


@dataclass(frozen=True)
class Stint:
    """One piece of work: who did it, from when to when by the machine's clock, and its images."""

    worker: int
    start: float
    stop: float
    rows: int


@dataclass(frozen=True, kw_only=True)
class ClockedReport(ShardReport):
    """The report of a shard, with the stint that made it."""

    stint: Stint


def steady_rate(stints: Sequence[Stint]) -> float:
    """Images per second while all workers had work: from the last one's start to the first one's end.

    A stint that lies partly in that time counts in part.
    """
    workers = {stint.worker for stint in stints}
    start = max(min(stint.start for stint in stints if stint.worker == worker) for worker in workers)
    stop = min(max(stint.stop for stint in stints if stint.worker == worker) for worker in workers)
    inside = (max(0.0, min(stint.stop, stop) - max(stint.start, start)) for stint in stints)
    done = sum(
        stint.rows * within / (stint.stop - stint.start) for stint, within in zip(stints, inside, strict=True)
    )
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

    def open(self) -> ShardMaker:
        return ClockedMaker(self.meeting, super().open())


class ClockedMaker(ShardMaker):
    """The audit's own maker of shards, warmed up, with a clock from each shard's start to its commit."""

    def __init__(self, meeting: Meeting, maker: ShardMaker) -> None:
        self._meeting, self._maker, self._is_warm = meeting, maker, False

    def start(self, shard: Shard) -> Future[ShardReport]:
        if not self._is_warm:
            # A part of the same shard, which is then made whole.
            self._maker.make(replace(shard, stop_id=min(shard.stop_id, shard.first_id + BATCH_IMAGES)))
            self._meeting.wait()
            self._is_warm = True
        start = time.perf_counter()
        clocked: Future[ShardReport] = Future()

        def stop(writing: Future[ShardReport]) -> None:
            if (error := writing.exception()) is not None:
                clocked.set_exception(error)
            else:
                stint = Stint(os.getpid(), start, time.perf_counter(), shard.rows)
                clocked.set_result(ClockedReport(**vars(writing.result()), stint=stint))

        self._maker.start(shard).add_done_callback(stop)
        return clocked


def benched(spec: AuditSpec, folder: str) -> AuditSpec:
    """The same pipeline with its first recogniser alone, writing to `folder`."""
    faces = spec.faces.model_copy(update={"recognizers": spec.faces.recognizers[:1]})
    return spec.model_copy(update={"faces": faces, "output": folder})


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
        lost = Schedule(
            shards,
            RayActors[Shard](spawner(clocked)),
            workers=lambda: workers,
            on_report=lambda report: stints.append(report.stint),
        ).run()
    require_none_lost(lost, job.prefix, len(shards))
    return steady_rate(stints)
