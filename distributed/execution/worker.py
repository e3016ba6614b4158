"""The one Ray actor: a shell around whatever a job opens to."""

from __future__ import annotations

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


def spawn(job: Job[TaskT]) -> ActorHandle[Any]:
    """Start one actor that holds the job's threads, and one GPU where the job runs on CUDA."""
    remote: Any = ray.remote(Worker)
    gpus = int(job.device == "cuda")
    actor: ActorHandle[Any] = remote.options(num_cpus=job.threads, num_gpus=gpus, max_restarts=0).remote(job)
    return actor
