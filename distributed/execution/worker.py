"""The one Ray actor: a shell around whatever a job opens to."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import ray
from ray.actor import ActorHandle

from distributed.execution.executor import Job, Maker, TaskT
from distributed.execution.schedule import WRITING
from schemas.run.shard import ShardReport

COMMITS = "commits"
"""The concurrency group of those who wait for what is being written, while `run` is at the next task."""


class Worker:
    """Opens a job with its first task, so that the errors of loading a model reach the driver as they are."""

    def __init__(self, job: Job[Any]) -> None:
        self._job = job
        self._maker: Maker[Any] | None = None
        self._writing: dict[int, Future[ShardReport]] = {}

    def run(self, task: Any) -> ShardReport | str:
        """The task's report if it is committed, else WRITING."""
        if self._maker is None:
            self._maker = self._job.open()
        future = self._maker.start(task)
        if future.done():
            return future.result()
        self._writing[task.index] = future
        return WRITING

    @ray.method(concurrency_group=COMMITS)
    def written(self, index: int) -> ShardReport:
        """The report of a task that `run` has left to be written, once it is. Raises what failed of that."""
        return self._writing.pop(index).result()


def spawner(job: Job[TaskT]) -> Callable[[], ActorHandle[Any]]:
    """Starts actors that hold the job's threads, and their share of a GPU where the job runs on CUDA.

    The job is put in the object store once: arrays in it are shared by all workers of a machine, read-only.
    """
    shared = ray.put(job)
    remote: Any = ray.remote
    worker = remote(concurrency_groups={COMMITS: 1})(Worker)
    gpus = job.resources.gpus_per_worker if job.device == "cuda" else 0
    actor = worker.options(num_cpus=job.threads, num_gpus=gpus, max_restarts=0)

    def spawn() -> ActorHandle[Any]:
        spawned: ActorHandle[Any] = actor.remote(shared)
        return spawned

    return spawn
