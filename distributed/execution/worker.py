"""The one Ray actor: a shell around whatever a job opens to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ray
from ray.actor import ActorHandle

from distributed.execution.executor import Job, Maker, TaskT
from schemas.run.shard import ShardReport


class Worker:
    """Opens a job with its first task, so that the errors of loading a model reach the driver as they are."""

    def __init__(self, job: Job[Any]) -> None:
        self._job = job
        self._maker: Maker[Any] | None = None

    def run(self, task: Any) -> ShardReport:
        if self._maker is None:
            self._maker = self._job.open()
        return self._maker.make(task)


def spawner(job: Job[TaskT]) -> Callable[[], ActorHandle[Any]]:
    """Starts actors that hold the job's threads, and one GPU each where the job runs on CUDA.

    The job is put in the object store once: arrays in it are shared by all workers of a machine, read-only.
    """
    shared = ray.put(job)
    remote: Any = ray.remote(Worker)
    actor = remote.options(num_cpus=job.threads, num_gpus=int(job.device == "cuda"), max_restarts=0)

    def spawn() -> ActorHandle[Any]:
        spawned: ActorHandle[Any] = actor.remote(shared)
        return spawned

    return spawn
