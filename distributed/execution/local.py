"""Tasks in this process, one after another."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, wait
from contextlib import closing
from typing import TypeVar

from distributed.execution.executor import Capacity, Job, Maker, Observer, TaskT
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
        with closing(_reports(job.open(), tasks)) as reports:
            for report in reports:
                observer.report(report)
        return []

    def call(self, capacity: Capacity, function: Callable[..., T], *arguments: object) -> T:
        return function(*arguments)


def _reports(maker: Maker[TaskT], tasks: Sequence[TaskT]) -> Generator[ShardReport]:
    """Of each task, as soon as it is written. What a task raises, and StoppedError, come after the reports of
    those that are written; no task is being written when this ends, whatever ended it."""
    writing, left = deque[Future[ShardReport]](), len(tasks)
    try:
        for task in tasks:
            if stop_requested():
                break
            writing.append(maker.start(task))
            left -= 1
            while writing and (len(writing) > 1 or writing[0].done()):
                yield writing.popleft().result()
        while writing:
            yield writing.popleft().result()
        if left:
            raise StoppedError(f"stopped with {left:,} shards to do; run the same command to go on")
    except GeneratorExit:
        wait(writing)
        raise
    except BaseException:
        # Ctrl-C too: shards that are written are reported, so that no finished work is lost. Raised again.
        wait(writing)
        yield from (written.result() for written in writing if written.exception() is None)
        raise
