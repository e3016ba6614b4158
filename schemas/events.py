"""What happens to the tasks of a stage, for observers."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


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
