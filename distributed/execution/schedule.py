"""Tasks handed to actors: bounded, retried, dead actors replaced, stragglers run twice. Without Ray."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Collection, Hashable, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any, Generic, Protocol, TypeVar

from distributed.execution.stopping import stop_requested
from distributed.execution.task_queue import ActorT, Task, TaskQueue, TaskT
from schemas.errors import StoppedError
from schemas.events import EventKind, WorkEvent
from schemas.run.shard import LostShard

WAIT_SECONDS = 1.0
MAX_ATTEMPTS = 3

COPY_AFTER = 1.5
"""Medians that a task must have run before it is run a second time."""

LEAST_COPY_SECONDS = 2.0
"""A task that is late by less is sooner done than copied."""

LEAST_FINISHED = 5
"""With fewer finished tasks there is no telling what a task takes."""

RECENT_TASKS = 99
"""The median is over so many tasks: what asking for it costs does not grow with the run."""

START_SECONDS = 30.0
"""What an actor may take to start before a failed task goes back to the idle actor that failed it."""

ROOM_SECONDS = 900.0
"""How long a run waits for a machine with room for a worker, when it has none."""


TaskT_contra = TypeVar("TaskT_contra", bound=Task, contravariant=True)
HandleT = TypeVar("HandleT", bound=Hashable)


WRITING = "writing"
"""What a task returns that is made and not committed yet."""


class TaskFailedError(Exception):
    """A task failed, its actor lives. The message is one line."""


class ActorDiedError(Exception):
    """A task ended with its actor. The message is one line."""


class ActorUnreachableError(Exception):
    """A task's actor does not answer: it is dead, or its machine is, or neither. The message is one line."""


class NodeLostError(ActorDiedError):
    """The actor's machine is gone: no fault of the task."""


class Actors(Protocol[TaskT_contra, ActorT, HandleT]):
    """Where tasks run, and the clock that they are timed by."""

    def now(self) -> float:
        """Seconds since some moment; never falls."""

    def name(self, actor: ActorT) -> str:
        """What Ray's own tools call it."""

    def start(self) -> tuple[ActorT, HandleT]:
        """Start an actor; the handle ends once it is up, and with ActorDiedError if it cannot start."""

    def submit(self, actor: ActorT, task: TaskT_contra) -> HandleT:
        """Have an actor run a task, the only one in flight on it."""

    def written(self, actor: ActorT, task: TaskT_contra) -> HandleT:
        """Of a task whose `result` was WRITING: the handle ends once what it has made is committed."""

    def probe(self, actor: ActorT) -> HandleT:
        """Find out whether an actor is alive; the handle ends with ActorDiedError if it is not."""

    def wait(self, handles: Collection[HandleT], timeout: float) -> Sequence[HandleT]:
        """Some of `handles` whose tasks have ended; none if none has ended after `timeout` seconds."""

    def result(self, handle: HandleT) -> Any:
        """What the ended task returned; WRITING: its actor commits it, and can take the next one.

        Raises TaskFailedError, ActorDiedError, ActorUnreachableError, or the task's IdleakError.
        """

    def end(self, actors: Collection[ActorT]) -> None:
        """End actors, and with them what they are doing."""


@dataclass(frozen=True)
class _Attempt(Generic[TaskT, ActorT, HandleT]):
    """A task in flight."""

    task: TaskT
    actor: ActorT
    handle: HandleT
    start: float
    in_doubt: bool = False
    """Its actor could not be reached; the handle is that of the question whether it is alive."""
    alone: bool = False
    """Its actor takes no other task before it is committed."""
    made_in: float | None = None
    """Seconds; since then it is being written, and its actor is at another task, or idle."""


class Schedule(Generic[TaskT, ActorT, HandleT]):
    """Hands tasks to actors until all are done or lost. What an event costs does not grow with the tasks.

    There are at most `workers()` actors, which is asked again and again: a cluster may grow and shrink. An
    actor that dies is replaced, its task charged one attempt; one whose task takes longer than `deadline`
    seconds is ended, and that is the same. A failed task is done again next, by another actor if there is
    one. An IdleakError that a task raises is not a matter of luck: it ends the run at once and is raised by
    `run`, as is whatever `on_report` raises. Tasks must be idempotent.

    Actors for which no task waits run the longest running tasks a second time, each at most once and only if
    it has run longer than `copy_after` medians; the first result counts, and the other attempt is ended.
    While what a task has made is written, its actor makes the next one: an actor has two tasks at most. If it
    dies then, both are charged, and a task that has failed before is done alone: so none is charged twice for
    another's fault.
    """

    def __init__(
        self,
        tasks: Sequence[TaskT],
        actors: Actors[TaskT, ActorT, HandleT],
        *,
        workers: Callable[[], int],
        on_report: Callable[[Any], None],
        on_event: Callable[[WorkEvent], None] = lambda event: None,
        max_attempts: int = MAX_ATTEMPTS,
        copy_after: float = COPY_AFTER,
        deadline: float = math.inf,
        room_seconds: float = ROOM_SECONDS,
        stop: Callable[[], bool] = stop_requested,
    ) -> None:
        self._queue: TaskQueue[TaskT, ActorT] = TaskQueue(deque(tasks), max_attempts)
        self._actors, self._workers = actors, workers
        self._on_report, self._on_event = on_report, on_event
        self._copy_after, self._deadline, self._stop = copy_after, deadline, stop
        self._room_seconds = room_seconds
        self._no_room_since: float | None = None
        self._alive: set[ActorT] = set()
        self._starting: dict[HandleT, tuple[ActorT, float]] = {}
        self._idle: deque[ActorT] = deque()
        self._running: dict[HandleT, _Attempt[TaskT, ActorT, HandleT]] = {}
        self._handles: dict[int, list[HandleT]] = {}
        self._to_copy: deque[_Attempt[TaskT, ActorT, HandleT]] = deque()
        self._copied: set[int] = set()
        self._recent: deque[float] = deque(maxlen=RECENT_TASKS)

    def run(self) -> list[LostShard]:
        """The tasks that were lost, by index. All actors have ended when this returns or raises.

        Raises StoppedError once `stop` says so, the tasks under way are done, and others are left; and if for
        `room_seconds` there is no actor at all.
        """
        try:
            while (self._queue and not self._stop()) or self._running:
                if not self._stop():
                    self._hand_out()
                    self._start_actors()
                    self._copy_stragglers()
                    self._require_room()
                for handle in self._actors.wait(self._awaited(), WAIT_SECONDS):
                    if handle in self._starting:
                        self._is_up(handle)
                    elif handle in self._running:
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
        """An idle actor for a waiting task. None where it is better to wait: a failed task goes to the actor
        that failed it only if no other is at work, or starting, that it could be given to next.
        """
        writing = {attempt.actor for attempt in self._running.values() if attempt.made_in is not None}
        for _ in range(len(self._idle)):
            actor = self._idle[-1]
            suits = self._queue.suits(actor) and not (self._queue.again and actor in writing)
            if suits or not (self._running or self._another_soon()):
                return self._idle.pop()
            self._idle.rotate()
        return None

    def _another_soon(self) -> bool:
        """Is another actor about to be up, or is there room to start one?"""
        begun = [since for _, since in self._starting.values()]
        return max(begun, default=-math.inf) > self._actors.now() - START_SECONDS or (
            not begun and len(self._alive) < self._workers()
        )

    def _start_actors(self) -> None:
        """One for each task that waits, while there is room: the idle ones do not suit what is left."""
        room = self._workers()
        while len(self._starting) < len(self._queue) and len(self._alive) < room:
            actor, handle = self._actors.start()
            self._alive.add(actor)
            self._starting[handle] = (actor, self._actors.now())

    def _is_up(self, handle: HandleT) -> None:
        """The actor can take a task. One that cannot start costs a task an attempt, and gives the reason."""
        actor, begun = self._starting.pop(handle)
        try:
            self._actors.result(handle)
        except ActorUnreachableError:
            self._starting[self._actors.probe(actor)] = (actor, begun)
        except ActorDiedError as error:
            self._gone(actor)
            if self._queue and not isinstance(error, NodeLostError):
                self._charge(self._queue.take(actor), actor, error)
        else:
            self._idle.append(actor)
            self._tell(EventKind.UP, actor)

    def _gone(self, *actors: ActorT) -> None:
        """End actors. What else they had in hand is done again, and not charged for it."""
        self._alive.difference_update(actors)
        self._idle = deque(actor for actor in self._idle if actor not in actors)
        self._actors.end(actors)
        for attempt in [attempt for attempt in self._running.values() if attempt.actor in actors]:
            self._drop(attempt)
            if not self._handles[attempt.task.index]:
                self._queue.put_back(attempt.task)

    def _drop(self, attempt: _Attempt[TaskT, ActorT, HandleT]) -> None:
        del self._running[attempt.handle]
        self._handles[attempt.task.index].remove(attempt.handle)

    def _awaited(self) -> Collection[HandleT]:
        return self._running.keys() | self._starting.keys() if self._starting else self._running.keys()

    def _require_room(self) -> None:
        """Raise StoppedError if for long nothing runs and nothing could, because no machine has room."""
        if self._running or self._idle or not self._queue:
            self._no_room_since = None
            return
        now = self._actors.now()
        self._no_room_since = now if self._no_room_since is None else self._no_room_since
        if now - self._no_room_since > self._room_seconds:
            raise StoppedError(
                f"no machine has had room for a worker for {self._room_seconds:g} s; {len(self._queue):,} "
                "shards are left to do: run the same command once one has"
            )

    def _submit(self, actor: ActorT, task: TaskT) -> _Attempt[TaskT, ActorT, HandleT]:
        handle = self._actors.submit(actor, task)
        alone = task.index in self._queue.failures
        attempt = _Attempt(task, actor, handle, self._actors.now(), alone=alone)
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
                self._tell(EventKind.SPECULATED, attempt.actor, attempt.task)
                self._submit(self._idle.pop(), attempt.task)
            self._to_copy.popleft()

    def _end_overdue(self) -> None:
        """End the actors whose tasks take longer than the deadline; attempts lie in the order of start."""
        while self._running:
            attempt = next(iter(self._running.values()))
            if self._actors.now() - attempt.start <= self._deadline:
                return
            self._drop(attempt)
            self._gone(attempt.actor)
            self._failed(attempt, TimeoutError(f"not done after {self._deadline:g} s, its worker was ended"))

    def _patience(self) -> float:
        """Seconds that a task may run before it is copied."""
        if len(self._recent) < LEAST_FINISHED:
            return math.inf
        usual = median(self._recent)
        return max(self._copy_after * usual, usual + LEAST_COPY_SECONDS)

    def _collect(self, handle: HandleT) -> None:
        attempt = self._running[handle]
        self._drop(attempt)
        try:
            result = self._actors.result(handle)
            if attempt.in_doubt:
                raise TaskFailedError("its worker could not be reached for a while")
        except ActorUnreachableError:
            self._doubt(attempt)
        except ActorDiedError as error:
            self._has_died(attempt, error)
        except TaskFailedError as error:
            self._release(attempt)
            self._failed(attempt, error)
        else:
            if result == WRITING:
                self._await_writing(attempt)
            else:
                self._release(attempt)
                self._done(attempt, result)

    def _release(self, attempt: _Attempt[TaskT, ActorT, HandleT]) -> None:
        """The attempt's actor can take a task, if it could not already."""
        if attempt.made_in is None or attempt.alone:
            self._idle.append(attempt.actor)

    def _await_writing(self, attempt: _Attempt[TaskT, ActorT, HandleT]) -> None:
        now = self._actors.now()
        self._recent.append(now - attempt.start)
        if not attempt.alone:
            self._idle.append(attempt.actor)
        handle = self._actors.written(attempt.actor, attempt.task)
        self._running[handle] = replace(attempt, handle=handle, start=now, made_in=now - attempt.start)
        self._handles[attempt.task.index].append(handle)

    def _done(self, attempt: _Attempt[TaskT, ActorT, HandleT], report: Any) -> None:
        seconds = self._actors.now() - attempt.start
        if attempt.made_in is None:
            self._recent.append(seconds)
        attempts = self._queue.failures.get(attempt.task.index, 0)
        seconds += attempt.made_in or 0.0
        self._tell(EventKind.DONE, attempt.actor, attempt.task, attempts=attempts, seconds=seconds)
        self._settle(attempt.task)
        self._on_report(report)

    def _has_died(self, attempt: _Attempt[TaskT, ActorT, HandleT], error: ActorDiedError) -> None:
        """Charge what the actor was making and what it was writing: either may have ended it."""
        others = [other for other in self._running.values() if other.actor == attempt.actor]
        for other in others:
            self._drop(other)
        self._gone(attempt.actor)
        for charged in (attempt, *others):
            self._failed(charged, error)

    def _doubt(self, attempt: _Attempt[TaskT, ActorT, HandleT]) -> None:
        """Ask after the actor, and leave it until then what the task is charged."""
        handle = self._actors.probe(attempt.actor)
        self._running[handle] = replace(attempt, handle=handle, start=self._actors.now(), in_doubt=True)
        self._handles[attempt.task.index].append(handle)

    def _failed(self, attempt: _Attempt[TaskT, ActorT, HandleT], error: Exception) -> None:
        """Charge the task, unless its other attempt may still succeed."""
        if self._handles[attempt.task.index]:
            return
        seconds = self._actors.now() - attempt.start
        if isinstance(error, NodeLostError):
            self._queue.put_back(attempt.task)
            self._tell(EventKind.MACHINE_LOST, attempt.actor, attempt.task, seconds=seconds)
        else:
            self._charge(attempt.task, attempt.actor, error, seconds)

    def _charge(self, task: TaskT, actor: ActorT, error: Exception, seconds: float = 0.0) -> None:
        self._queue.failed(task, actor, str(error))
        attempts = self._queue.failures[task.index]
        spent = attempts == self._queue.max_attempts
        what = EventKind.GIVEN_UP if spent else EventKind.FAILED
        self._tell(what, actor, task, attempts=attempts, seconds=seconds, error=kind_of(error))

    def _tell(self, what: EventKind, actor: ActorT, task: TaskT | None = None, **details: Any) -> None:
        shard = -1 if task is None else task.index
        up = len(self._alive) - len(self._starting)
        name = self._actors.name(actor)
        self._on_event(WorkEvent(what, up, len(self._queue), shard=shard, worker=name, **details))

    def _settle(self, task: TaskT) -> None:
        """The task is done: whoever else makes it is ended, since an actor cannot drop a task."""
        others = [self._running.pop(handle) for handle in self._handles.pop(task.index)]
        if making := [attempt.actor for attempt in others if attempt.made_in is None]:
            self._gone(*making)


def kind_of(error: Exception) -> str:
    """The kind of a task's own error, else of what became of its actor."""
    cause = getattr(error.__cause__, "cause", None)
    return type(cause if isinstance(cause, Exception) else error).__name__
