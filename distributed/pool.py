"""Run tasks over actors: bounded, retried, dead actors replaced."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

import ray
from ray.actor import ActorHandle
from ray.exceptions import RayActorError, RayError, RayTaskError

from schemas.errors import IdleakError
from schemas.shard import LostShard

WAIT_SECONDS = 1.0
GET_SECONDS = 60.0
MAX_ATTEMPTS = 3
ANSI_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


class Task(Protocol):
    """What the pool needs to know of a unit of work."""

    @property
    def index(self) -> int: ...


TaskT = TypeVar("TaskT", bound=Task)


@dataclass
class _Queue(Generic[TaskT]):
    """Tasks to do, how often each was tried, and those given up."""

    waiting: deque[TaskT]
    max_attempts: int
    attempts: dict[int, int] = field(default_factory=dict)
    lost: list[LostShard] = field(default_factory=list)

    def take(self) -> TaskT:
        task = self.waiting.popleft()
        self.attempts[task.index] = self.attempts.get(task.index, 0) + 1
        return task

    def failed(self, task: TaskT, error: Exception) -> None:
        """Put the task back at the end, or give it up once its attempts are spent."""
        tried = self.attempts[task.index]
        if tried < self.max_attempts:
            self.waiting.append(task)
        else:
            self.lost.append(LostShard(task.index, tried, _reason(error)))


def run_tasks(
    tasks: Sequence[TaskT],
    spawn: Callable[[], ActorHandle[Any]],
    *,
    workers: int,
    on_report: Callable[[Any], None],
    max_attempts: int = MAX_ATTEMPTS,
) -> list[LostShard]:
    """Have `workers` actors `run` each task once; report each result; the tasks lost after `max_attempts`.

    One task is in flight per actor. An actor that dies is replaced, its task charged one attempt. An
    IdleakError that a task raises is not a matter of luck: it ends the run at once and is raised here, as is
    whatever `on_report` raises. All actors are ended before this returns.
    """
    queue = _Queue(deque(tasks), max_attempts)
    idle = [spawn() for _ in range(min(workers, len(tasks)))]
    busy: dict[Any, tuple[ActorHandle[Any], TaskT]] = {}
    try:
        while queue.waiting or busy:
            _hand_out(queue, idle, busy)
            ready, _ = ray.wait(list(busy), num_returns=1, timeout=WAIT_SECONDS)
            for ref in ready:
                _collect(ref, queue, idle, busy, spawn, on_report)
    finally:
        for actor in [*idle, *(actor for actor, _ in busy.values())]:
            ray.kill(actor)
    return sorted(queue.lost, key=lambda lost: lost.index)


def _hand_out(
    queue: _Queue[TaskT], idle: list[ActorHandle[Any]], busy: dict[Any, tuple[ActorHandle[Any], TaskT]]
) -> None:
    while queue.waiting and idle:
        actor, task = idle.pop(), queue.take()
        busy[actor.run.remote(task)] = (actor, task)


def _collect(
    ref: Any,
    queue: _Queue[TaskT],
    idle: list[ActorHandle[Any]],
    busy: dict[Any, tuple[ActorHandle[Any], TaskT]],
    spawn: Callable[[], ActorHandle[Any]],
    on_report: Callable[[Any], None],
) -> None:
    actor, task = busy.pop(ref)
    try:
        report = ray.get(ref, timeout=GET_SECONDS)
    except RayActorError as error:
        queue.failed(task, error)
        if queue.waiting:
            idle.append(spawn())
        return
    except RayError as error:
        idle.append(actor)
        if isinstance(error, RayTaskError) and isinstance(error.cause, IdleakError):
            raise error.cause from None
        queue.failed(task, error)
        return
    idle.append(actor)
    on_report(report)


def _reason(error: Exception) -> str:
    """One line: a task's own error, or the last line of what Ray says of a dead actor, which says why."""
    if isinstance(error, RayTaskError):
        first = next(iter(str(error.cause).splitlines()), "")
        return f"{type(error.cause).__name__}: {first}"
    lines = [line.strip() for line in ANSI_COLOURS.sub("", str(error)).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[-1] if lines else ''}"
