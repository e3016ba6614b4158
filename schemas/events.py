"""What happens to the tasks of a stage, for whoever looks on."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class What(StrEnum):
    """UP: another worker is up. DONE: a task. FAILED: an attempt, which is charged. MACHINE_LOST: a worker
    with its machine, which is not. SET_ASIDE: a task, after its last attempt. COPIED: a straggler is begun
    a second time."""

    UP = "worker_up"
    DONE = "shard_done"
    FAILED = "attempt_failed"
    MACHINE_LOST = "machine_lost"
    SET_ASIDE = "shard_set_aside"
    COPIED = "shard_copied"


@dataclass(frozen=True)
class WorkEvent:
    """shard: of the task, -1 if none. attempts: those that failed and were charged. seconds: of the attempt.

    error: the kind of the error and no more, as its message may name a photo, and so a person.
    workers: those that are up; left: tasks that wait.
    """

    what: What
    workers: int
    left: int
    shard: int = -1
    worker: str = ""
    attempts: int = 0
    seconds: float = 0.0
    error: str = ""
