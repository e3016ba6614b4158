"""Run tasks over actors: bounded, retried, dead actors replaced, stragglers run twice."""

from __future__ import annotations

import math
import re
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Hashable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Generic, Protocol, TypeVar

import ray
from ray.actor import ActorHandle
from ray.exceptions import RayActorError, RayError, RayTaskError

from distributed.stopping import stop_requested
from schemas.errors import IdleakError, StoppedError
from schemas.shard import LostShard

WAIT_SECONDS = 1.0
GET_SECONDS = 60.0
END_SECONDS = 30.0
MAX_ATTEMPTS = 3

COPY_AFTER = 1.5
"""Medians that a task must have run before it is run a second time."""

LEAST_COPY_SECONDS = 2.0
"""A task that is late by less is sooner done than copied."""

LEAST_FINISHED = 5
"""With fewer finished tasks there is no telling what a task takes."""

RECENT_TASKS = 99
"""The median is over so many tasks: what asking for it costs does not grow with the run."""

ANSI_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


class Task(Protocol):
    """What the pool needs to know of a unit of work."""

    @property
    def index(self) -> int: ...


TaskT = TypeVar("TaskT", bound=Task)
TaskT_contra = TypeVar("TaskT_contra", bound=Task, contravariant=True)
ActorT = TypeVar("ActorT", bound=Hashable)
HandleT = TypeVar("HandleT", bound=Hashable)


class TaskFailedError(Exception):
    """A task failed, its actor lives. The message is one line."""


class ActorDiedError(Exception):
    """A task ended with its actor. The message is one line."""


class Actors(Protocol[TaskT_contra, ActorT, HandleT]):
    """Where tasks run, and the clock that they are timed by."""

    def now(self) -> float:
        """Seconds since some moment; never falls."""

    def start(self) -> ActorT:
        """Start an actor; it may be given a task before it is up."""

    def submit(self, actor: ActorT, task: TaskT_contra) -> HandleT:
        """Have an actor run a task, the only one in flight on it."""

    def wait(self, handles: Collection[HandleT], timeout: float) -> Sequence[HandleT]:
        """Some of `handles` whose tasks have ended; none if none has ended after `timeout` seconds."""

    def result(self, handle: HandleT) -> Any:
        """What the ended task returned. Raises TaskFailedError, ActorDiedError, or the task's IdleakError."""

    def end(self, actors: Collection[ActorT]) -> None:
        """End actors, and with them what they are doing."""


class RayActors(Generic[TaskT]):
    """Ray's actors; `spawn` starts one that has a method `run`."""

    def __init__(self, spawn: Callable[[], ActorHandle[Any]]) -> None:
        self._spawn = spawn
        self._latest: dict[ActorHandle[Any], Any] = {}

    def now(self) -> float:
        return time.monotonic()

    def start(self) -> ActorHandle[Any]:
        return self._spawn()

    def submit(self, actor: Any, task: TaskT) -> Any:
        self._latest[actor] = actor.run.remote(task)
        return self._latest[actor]

    def wait(self, handles: Collection[Any], timeout: float) -> Sequence[Any]:
        ready, _ = ray.wait(list(handles), num_returns=1, timeout=timeout)
        return ready

    def result(self, handle: Any) -> Any:
        try:
            return ray.get(handle, timeout=GET_SECONDS)
        except RayActorError as error:
            raise ActorDiedError(_reason(error)) from error
        except RayError as error:
            if isinstance(error, RayTaskError) and isinstance(error.cause, IdleakError):
                raise error.cause from None
            raise TaskFailedError(_reason(error)) from error

    def end(self, actors: Collection[ActorHandle[Any]]) -> None:
        """Waits until Ray counts them as dead: who writes the same files next must not be overtaken."""
        latest = [self._latest.pop(actor) for actor in actors if actor in self._latest]
        for actor in actors:
            ray.kill(actor)
        if latest:
            ray.wait(latest, num_returns=len(latest), timeout=END_SECONDS)


@dataclass
class _Queue(Generic[TaskT, ActorT]):
    """Tasks to do, how often each has failed, and those given up. Failed ones come first."""

    fresh: deque[TaskT]
    max_attempts: int
    again: OrderedDict[ActorT, deque[TaskT]] = field(default_factory=OrderedDict)
    failures: dict[int, int] = field(default_factory=dict)
    lost: list[LostShard] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.fresh) + sum(map(len, self.again.values()))

    def suits(self, actor: ActorT) -> bool:
        """Is there a task that this very actor has not just failed?"""
        return bool(self.fresh) or len(self.again) > (actor in self.again)

    def take(self, actor: ActorT) -> TaskT:
        """The next task for an actor: one that another has failed, a fresh one, else one of its own."""
        failed_by = next((other for other in self.again if other != actor), None)
        if failed_by is None:
            if self.fresh:
                return self.fresh.popleft()
            failed_by = actor
        task = self.again[failed_by].popleft()
        if not self.again[failed_by]:
            del self.again[failed_by]
        return task

    def failed(self, task: TaskT, actor: ActorT, reason: str) -> None:
        """Have the task done again soon, or give it up once its attempts are spent."""
        failures = self.failures[task.index] = self.failures.get(task.index, 0) + 1
        if failures < self.max_attempts:
            self.again.setdefault(actor, deque()).append(task)
        else:
            self.lost.append(LostShard(task.index, failures, reason))


@dataclass(frozen=True)
class _Attempt(Generic[TaskT, ActorT, HandleT]):
    """A task in flight."""

    task: TaskT
    actor: ActorT
    handle: HandleT
    start: float


class Schedule(Generic[TaskT, ActorT, HandleT]):
    """Hands tasks to actors until all are done or lost. What an event costs does not grow with the tasks.

    Actors for which no task waits run the longest running tasks a second time, each at most once and only if
    it has run longer than `copy_after` medians; the first result counts, and the other attempt is ended.
    """

    def __init__(
        self,
        tasks: Sequence[TaskT],
        actors: Actors[TaskT, ActorT, HandleT],
        *,
        workers: int,
        on_report: Callable[[Any], None],
        max_attempts: int = MAX_ATTEMPTS,
        copy_after: float = COPY_AFTER,
        deadline: float = math.inf,
        stop: Callable[[], bool] = stop_requested,
    ) -> None:
        self._queue: _Queue[TaskT, ActorT] = _Queue(deque(tasks), max_attempts)
        self._actors, self._workers, self._on_report = actors, workers, on_report
        self._copy_after, self._deadline, self._stop = copy_after, deadline, stop
        self._alive: set[ActorT] = set()
        self._idle: deque[ActorT] = deque()
        self._running: dict[HandleT, _Attempt[TaskT, ActorT, HandleT]] = {}
        self._handles: dict[int, list[HandleT]] = {}
        self._to_copy: deque[_Attempt[TaskT, ActorT, HandleT]] = deque()
        self._copied: set[int] = set()
        self._recent: deque[float] = deque(maxlen=RECENT_TASKS)

    def run(self) -> list[LostShard]:
        """The tasks that were lost, by index. All actors have ended when this returns or raises.

        Raises StoppedError once `stop` says so, the tasks under way are done, and others are left.
        """
        try:
            while (self._queue and not self._stop()) or self._running:
                if not self._stop():
                    self._hand_out()
                    self._copy_stragglers()
                for handle in self._actors.wait(self._running.keys(), WAIT_SECONDS):
                    if handle in self._running:
                        self._collect(handle)
                self._end_overdue()
        finally:
            self._actors.end(self._alive)
        if self._queue:
            raise StoppedError(
                f"stopped with {len(self._queue):,} shards to do; run the same command to go on"
            )
        return sorted(self._queue.lost, key=lambda lost: lost.index)

    def _hand_out(self) -> None:
        while self._queue and (actor := self._free_actor()) is not None:
            attempt = self._submit(actor, self._queue.take(actor))
            if attempt.task.index not in self._copied:
                self._to_copy.append(attempt)

    def _free_actor(self) -> ActorT | None:
        """An actor for a waiting task: an idle one, or a new one while there are fewer than `workers`.

        None where it is better to wait: a failed task goes to the actor that failed it only if no other is at
        work that it could be given to next.
        """
        if self._idle and not self._queue.suits(self._idle[-1]):
            self._idle.rotate()
        if self._idle and self._queue.suits(self._idle[-1]):
            return self._idle.pop()
        if len(self._alive) < self._workers:
            actor = self._actors.start()
            self._alive.add(actor)
            return actor
        return self._idle.pop() if self._idle and not self._running else None

    def _submit(self, actor: ActorT, task: TaskT) -> _Attempt[TaskT, ActorT, HandleT]:
        handle = self._actors.submit(actor, task)
        attempt = _Attempt(task, actor, handle, self._actors.now())
        self._running[handle] = attempt
        self._handles.setdefault(task.index, []).append(handle)
        return attempt

    def _copy_stragglers(self) -> None:
        """Attempts begin in the order of `_to_copy`: the first that still runs has run longest."""
        while self._idle and self._to_copy:
            attempt = self._to_copy[0]
            if attempt.handle in self._running:
                if self._actors.now() - attempt.start < self._patience():
                    return
                self._copied.add(attempt.task.index)
                self._submit(self._idle.pop(), attempt.task)
            self._to_copy.popleft()

    def _end_overdue(self) -> None:
        """End the actors whose tasks take longer than the deadline; attempts lie in the order of start."""
        while self._running:
            attempt = next(iter(self._running.values()))
            if self._actors.now() - attempt.start <= self._deadline:
                return
            del self._running[attempt.handle]
            self._handles[attempt.task.index].remove(attempt.handle)
            self._alive.discard(attempt.actor)
            self._actors.end([attempt.actor])
            self._failed(attempt, TimeoutError(f"not done after {self._deadline:g} s, its worker was ended"))

    def _patience(self) -> float:
        """Seconds that a task may run before it is copied."""
        if len(self._recent) < LEAST_FINISHED:
            return math.inf
        usual = median(self._recent)
        return max(self._copy_after * usual, usual + LEAST_COPY_SECONDS)

    def _collect(self, handle: HandleT) -> None:
        attempt = self._running.pop(handle)
        others = self._handles[attempt.task.index]
        others.remove(handle)
        try:
            report = self._actors.result(handle)
        except ActorDiedError as error:
            self._alive.discard(attempt.actor)
            self._failed(attempt, error)
        except TaskFailedError as error:
            self._idle.append(attempt.actor)
            self._failed(attempt, error)
        else:
            self._idle.append(attempt.actor)
            self._recent.append(self._actors.now() - attempt.start)
            self._settle(attempt.task)
            self._on_report(report)

    def _failed(self, attempt: _Attempt[TaskT, ActorT, HandleT], error: Exception) -> None:
        """Charge the task, unless its other attempt may still succeed."""
        if not self._handles[attempt.task.index]:
            self._queue.failed(attempt.task, attempt.actor, str(error))

    def _settle(self, task: TaskT) -> None:
        """The task is done: whoever else is at it is ended, since an actor cannot drop a task."""
        losers = [self._running.pop(handle).actor for handle in self._handles.pop(task.index)]
        self._alive.difference_update(losers)
        self._actors.end(losers)


def run_tasks(
    tasks: Sequence[TaskT],
    spawn: Callable[[], ActorHandle[Any]],
    *,
    workers: int,
    on_report: Callable[[Any], None],
    max_attempts: int = MAX_ATTEMPTS,
    deadline: float = math.inf,
) -> list[LostShard]:
    """Have `workers` actors `run` each task once; report each result; the tasks lost after `max_attempts`.

    One task is in flight per actor. An actor that dies is replaced, its task charged one attempt; one
    whose task takes longer than `deadline` seconds is ended, and that is the same. A failed
    task is done again next, by another actor if there is one. Tasks must be idempotent: at the run's end, one
    that takes much longer than others is given to an idle actor too; the first result is reported. An
    IdleakError that a task raises is not a matter of luck: it ends the run at once and is raised here, as is
    whatever `on_report` raises. All actors are ended before this returns.
    """
    actors: RayActors[TaskT] = RayActors(spawn)
    schedule = Schedule(
        tasks, actors, workers=workers, on_report=on_report, max_attempts=max_attempts, deadline=deadline
    )
    return schedule.run()


def _reason(error: Exception) -> str:
    """One line: a task's own error, or the last line of what Ray says of a dead actor, which says why."""
    if isinstance(error, RayTaskError):
        first = next(iter(str(error.cause).splitlines()), "")
        return f"{type(error.cause).__name__}: {first}"
    lines = [line.strip() for line in ANSI_COLOURS.sub("", str(error)).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[-1] if lines else ''}"
