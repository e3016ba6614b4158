"""Run tasks over actors: bounded, retried, dead actors replaced, stragglers run twice."""

from __future__ import annotations

import math
import re
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Hashable, Sequence
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Any, Generic, Protocol, TypeVar

import ray
from ray.actor import ActorHandle
from ray.exceptions import ActorUnavailableError, RayActorError, RayError, RayTaskError

from distributed.execution.stopping import stop_requested
from schemas.errors import IdleakError, StoppedError
from schemas.events import What, WorkEvent
from schemas.run.shard import LostShard

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

START_SECONDS = 30.0
"""What an actor may take to start before a failed task goes back to the idle actor that failed it."""

ROOM_SECONDS = 900.0
"""How long a run waits for a machine with room for a worker, when it has none."""

NODE_LOST = "node has died"
"""What Ray says of an actor whose machine is gone."""

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


class ActorUnreachableError(Exception):
    """A task's actor does not answer: it is dead, or its machine is, or neither. The message is one line."""


class NodeLostError(ActorDiedError):
    """The actor's machine is gone: no fault of the task."""


class DeadDeviceError(Exception):
    """A task's actor can do no more work, and must end: its device is lost to its process."""


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

    def probe(self, actor: ActorT) -> HandleT:
        """Find out whether an actor is alive; the handle ends with ActorDiedError if it is not."""

    def wait(self, handles: Collection[HandleT], timeout: float) -> Sequence[HandleT]:
        """Some of `handles` whose tasks have ended; none if none has ended after `timeout` seconds."""

    def result(self, handle: HandleT) -> Any:
        """What the ended task returned.

        Raises TaskFailedError, ActorDiedError, ActorUnreachableError, or the task's IdleakError.
        """

    def end(self, actors: Collection[ActorT]) -> None:
        """End actors, and with them what they are doing."""


class RayActors(Generic[TaskT]):
    """Ray's actors; `spawn` starts one that has a method `run`."""

    def __init__(self, spawn: Callable[[], ActorHandle[Any]]) -> None:
        self._spawn = spawn
        self._latest: dict[ActorHandle[Any], Any] = {}

    def now(self) -> float:
        return time.monotonic()

    def name(self, actor: Any) -> str:
        return str(actor._actor_id.hex())

    def start(self) -> tuple[ActorHandle[Any], Any]:
        actor = self._spawn()
        return actor, self.probe(actor)

    def probe(self, actor: Any) -> Any:
        self._latest[actor] = actor.__ray_ready__.remote()
        return self._latest[actor]

    def submit(self, actor: Any, task: TaskT) -> Any:
        self._latest[actor] = actor.run.remote(task)
        return self._latest[actor]

    def wait(self, handles: Collection[Any], timeout: float) -> Sequence[Any]:
        if not handles:
            time.sleep(timeout)
            return []
        ready, _ = ray.wait(list(handles), num_returns=1, timeout=timeout)
        return ready

    def result(self, handle: Any) -> Any:
        try:
            return ray.get(handle, timeout=GET_SECONDS)
        except ActorUnavailableError as error:
            raise ActorUnreachableError(_reason(error)) from error
        except RayActorError as error:
            lost = NODE_LOST in str(error)
            raise (NodeLostError if lost else ActorDiedError)(_reason(error)) from error
        except RayError as error:
            if isinstance(error, RayTaskError) and isinstance(error.cause, IdleakError):
                raise error.cause from None
            if isinstance(error, RayTaskError) and isinstance(error.cause, DeadDeviceError):
                raise ActorDiedError(_reason(error)) from error
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
    in_doubt: bool = False
    """Its actor could not be reached; the handle is that of the question whether it is alive."""


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
        workers: Callable[[], int],
        on_report: Callable[[Any], None],
        on_event: Callable[[WorkEvent], None] = lambda event: None,
        max_attempts: int = MAX_ATTEMPTS,
        copy_after: float = COPY_AFTER,
        deadline: float = math.inf,
        room_seconds: float = ROOM_SECONDS,
        stop: Callable[[], bool] = stop_requested,
    ) -> None:
        self._queue: _Queue[TaskT, ActorT] = _Queue(deque(tasks), max_attempts)
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
        if self._idle and not self._queue.suits(self._idle[-1]):
            self._idle.rotate()
        if self._idle and (self._queue.suits(self._idle[-1]) or not (self._running or self._another_soon())):
            return self._idle.pop()
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
            self._tell(What.UP, actor)

    def _gone(self, *actors: ActorT) -> None:
        self._alive.difference_update(actors)
        self._actors.end(actors)

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
                self._tell(What.COPIED, attempt.actor, attempt.task)
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
            self._gone(attempt.actor)
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
            if attempt.in_doubt:
                raise TaskFailedError("its worker could not be reached for a while")
        except ActorUnreachableError:
            self._doubt(attempt)
        except ActorDiedError as error:
            self._gone(attempt.actor)
            self._failed(attempt, error)
        except TaskFailedError as error:
            self._idle.append(attempt.actor)
            self._failed(attempt, error)
        else:
            self._idle.append(attempt.actor)
            seconds = self._actors.now() - attempt.start
            self._recent.append(seconds)
            attempts = self._queue.failures.get(attempt.task.index, 0)
            self._tell(What.DONE, attempt.actor, attempt.task, attempts=attempts, seconds=seconds)
            self._settle(attempt.task)
            self._on_report(report)

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
            self._queue.fresh.appendleft(attempt.task)
            self._tell(What.MACHINE_LOST, attempt.actor, attempt.task, seconds=seconds)
        else:
            self._charge(attempt.task, attempt.actor, error, seconds)

    def _charge(self, task: TaskT, actor: ActorT, error: Exception, seconds: float = 0.0) -> None:
        self._queue.failed(task, actor, str(error))
        attempts = self._queue.failures[task.index]
        spent = attempts == self._queue.max_attempts
        what = What.SET_ASIDE if spent else What.FAILED
        self._tell(what, actor, task, attempts=attempts, seconds=seconds, error=_kind(error))

    def _tell(self, what: What, actor: ActorT, task: TaskT | None = None, **told: Any) -> None:
        shard = -1 if task is None else task.index
        up = len(self._alive) - len(self._starting)
        name = self._actors.name(actor)
        self._on_event(WorkEvent(what, up, len(self._queue), shard=shard, worker=name, **told))

    def _settle(self, task: TaskT) -> None:
        """The task is done: whoever else is at it is ended, since an actor cannot drop a task."""
        self._gone(*[self._running.pop(handle).actor for handle in self._handles.pop(task.index)])


def run_tasks(
    tasks: Sequence[TaskT],
    spawn: Callable[[], ActorHandle[Any]],
    *,
    workers: Callable[[], int],
    on_report: Callable[[Any], None],
    on_event: Callable[[WorkEvent], None] = lambda event: None,
    max_attempts: int = MAX_ATTEMPTS,
    deadline: float = math.inf,
    room_seconds: float = ROOM_SECONDS,
) -> list[LostShard]:
    """Have actors `run` each task once; report each result; the tasks lost after `max_attempts`.

    There are at most `workers()` actors, which is asked again and again: a cluster may grow and shrink. What
    happens is told to `on_event`. One task is in flight per actor. An actor that dies is replaced, its task
    charged one attempt; one whose task takes longer than `deadline` seconds is ended, and that is the same. A
    failed task is done again next, by another actor if there is one. Tasks must be idempotent: at the run's
    end, one that takes much longer than others is given to an idle actor too; the first result is reported.
    An IdleakError that a task raises is not a matter of luck: it ends the run at once and is raised here, as
    is whatever `on_report` raises; StoppedError where there was room for no actor for `room_seconds`. All
    actors are ended before this returns.
    """
    actors: RayActors[TaskT] = RayActors(spawn)
    schedule = Schedule(
        tasks,
        actors,
        workers=workers,
        on_report=on_report,
        on_event=on_event,
        max_attempts=max_attempts,
        deadline=deadline,
        room_seconds=room_seconds,
    )
    return schedule.run()


def _kind(error: Exception) -> str:
    """The kind of a task's own error, else of what became of its actor."""
    cause = error.__cause__.cause if isinstance(error.__cause__, RayTaskError) else error
    return type(cause).__name__


def _reason(error: Exception) -> str:
    """One line: a task's own error, or the last line of what Ray says of a dead actor, which says why."""
    if isinstance(error, RayTaskError):
        first = next(iter(str(error.cause).splitlines()), "")
        return f"{type(error.cause).__name__}: {first}"
    lines = [line.strip() for line in ANSI_COLOURS.sub("", str(error)).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[-1] if lines else ''}"
