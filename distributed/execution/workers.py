"""Thin Ray actors around the plain classes that do the work.

Each kind of actor imports its own stage, with its first task: the errors of loading a model then reach the
driver as they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ray
from ray.actor import ActorHandle

from distributed.execution.pool import DeadDeviceError
from distributed.runtime.allocator import keep_freed_memory
from distributed.runtime.memory_errors import is_dead_device
from schemas.run.shard import Shard, ShardReport

if TYPE_CHECKING:
    from distributed.reduce.reducer import Job, ReduceMaker, ShardGroup
    from distributed.stages.embed import ShardJob, ShardMaker


class ShardWorker:
    """Makes shards."""

    def __init__(self, job: ShardJob) -> None:
        self._job = job
        self._maker: ShardMaker | None = None

    def run(self, shard: Shard) -> ShardReport:
        if self._maker is None:
            import cv2

            from distributed.stages.embed import ShardMaker

            keep_freed_memory()
            cv2.setNumThreads(self._job.threads)
            self._maker = ShardMaker(self._job)
        try:
            return self._maker.make(shard)
        except Exception as error:
            if is_dead_device(error):
                raise DeadDeviceError(str(error)) from error
            raise


class ReduceWorker:
    """Reduces groups of shards; the gallery is read once."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._maker: ReduceMaker | None = None

    def run(self, group: ShardGroup) -> ShardReport:
        if self._maker is None:
            from distributed.reduce.reducer import ReduceMaker

            self._maker = ReduceMaker(self._job)
        return self._maker.make(group)


def spawn(worker: type, job: ShardJob | Job) -> ActorHandle[Any]:
    """Start one actor that holds the job's threads, and one GPU where the job runs on CUDA."""
    remote: Any = ray.remote(worker)
    gpus = int(job.device == "cuda")
    actor: ActorHandle[Any] = remote.options(num_cpus=job.threads, num_gpus=gpus, max_restarts=0).remote(job)
    return actor
