"""Tasks in this process, one after another."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import TypeVar

from distributed.execution.executor import Capacity, Job, Observer, TaskT
from distributed.execution.stopping import stop_requested
from schemas.errors import StoppedError
from schemas.run.shard import LostShard, ShardReport
from schemas.spec.resources import ResourcesSpec

T = TypeVar("T")


class LocalExecutor:
    """One worker, this process, on the CPU. A task that fails is not tried again: its error is raised."""

    def capacity(self, resources: ResourcesSpec) -> Capacity:
        threads = resources.threads_per_worker
        return Capacity("cpu", 1, 1 if threads == "auto" else threads)

    def run(self, job: Job[TaskT], tasks: Sequence[TaskT], observer: Observer) -> list[LostShard]:
        maker, writing = job.open(), deque[Future[ShardReport]]()
        try:
            for done, task in enumerate(tasks):
                if stop_requested():
                    left = len(tasks) - done
                    raise StoppedError(f"stopped with {left:,} shards to do; run the same command to go on")
                writing.append(maker.start(task))
                while writing and (len(writing) > 1 or writing[0].done()):
                    observer.report(writing.popleft().result())
        finally:
            for future in writing:
                observer.report(future.result())
        return []

    def call(self, capacity: Capacity, function: Callable[..., T], *arguments: object) -> T:
        return function(*arguments)
