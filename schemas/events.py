"""What happens to the tasks of a stage, and how far a judgement is, for observers."""

from __future__ import annotations

import time
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from schemas.run.shard import ShardReport


class EventKind(StrEnum):
    """UP: another worker is up. DONE: a task. FAILED: an attempt, which is charged. MACHINE_LOST: a worker
    with its machine, which is not. GIVEN_UP: a task, after its last attempt. SPECULATED: a straggler is begun
    a second time, as a speculative retry."""

    UP = "worker_up"
    DONE = "shard_done"
    FAILED = "attempt_failed"
    MACHINE_LOST = "machine_lost"
    GIVEN_UP = "shard_set_aside"
    SPECULATED = "shard_copied"


@dataclass(frozen=True)
class WorkEvent:
    """shard: of the task, -1 if none. attempts: those that failed and were charged. seconds: of the attempt.

    error: the kind of the error and no more, as its message may name a photo, and so a person.
    workers: those that are up; left: tasks that wait.
    """

    what: EventKind
    workers: int
    left: int
    shard: int = -1
    worker: str = ""
    attempts: int = 0
    seconds: float = 0.0
    error: str = ""


class StepObserver(Protocol):
    """Is told of steps. The observer of any stage is one."""

    def begin(self, done: int, todo: int, /) -> None:
        """There are `todo` steps."""

    def report(self, report: ShardReport, /) -> None:
        """`rows` steps are done, and `seconds` says of what."""


@dataclass
class Steps:
    """Counts the steps of one judgement, of which there are `planned`; nobody is told without an observer."""

    planned: int = 0
    observer: StepObserver | None = None
    _done: int = 0
    _last: float = 0.0

    def begin(self) -> None:
        self._last = time.perf_counter()
        if self.observer is not None:
            self.observer.begin(0, self.planned)

    def done(self, name: str, count: int = 1) -> None:
        """So many steps are done, in the time since the last ones, which goes under this name."""
        now = time.perf_counter()
        if self.observer is not None:
            self.observer.report(ShardReport(self._done, count, {}, 0, {name: now - self._last}))
        self._done, self._last = self._done + count, now
