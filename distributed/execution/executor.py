"""Where tasks run, as the stages see it: an executor takes a job and its tasks, and an observer looks on.

`LocalExecutor` runs them in this process, `RayExecutor` over the actors of a Ray; no stage knows which.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol, TypeVar

from distributed.execution.task_queue import Task
from schemas.events import WorkEvent
from schemas.run.shard import LostShard, ShardReport
from schemas.spec.resources import ResourcesSpec

T = TypeVar("T")
TaskT = TypeVar("TaskT", bound=Task)
TaskT_contra = TypeVar("TaskT_contra", bound=Task, contravariant=True)


class DeadDeviceError(Exception):
    """A task's worker can do no more work, and must end: its device is lost to its process."""


@dataclass(frozen=True)
class Capacity:
    """What a run may use: `workers` actors of `threads` CPU threads each, on `device`."""

    device: str
    workers: int
    threads: int


@dataclass(frozen=True)
class TaskLimits:
    """workers: at most so many at once, None: as many as there is room for. seconds: after so many a task's
    worker is ended, and the task tried again. light: opening the job takes no time, so that a task that is
    the only one is done sooner here than a worker has started."""

    workers: int | None = None
    seconds: float = math.inf
    light: bool = False


class Maker(Protocol[TaskT_contra]):
    """A job that has been opened: models are loaded, files are read."""

    def start(self, task: TaskT_contra, /) -> Future[ShardReport]:
        """Do a task, all but committing what it gives, which may go on behind the next task; idempotent.

        The future is done once it is committed, and holds what fails of that. At most one task is uncommitted
        when this returns. Raises DeadDeviceError if its process must end, and what else fails before.
        """


class Job(Protocol[TaskT_contra]):
    """What the tasks of one run of an executor have in common. Workers get it before they open it."""

    @property
    def device(self) -> str: ...

    @property
    def threads(self) -> int: ...

    @property
    def resources(self) -> ResourcesSpec: ...

    @property
    def limits(self) -> TaskLimits: ...

    def open(self) -> Maker[TaskT_contra]: ...


class Observer(Protocol):
    """Is told how the work goes."""

    def begin(self, done: int, todo: int, capacity: Capacity | None = None) -> None:
        """There is work, of `todo` units, and `done` are there already. Called anew for each pass."""

    def report(self, report: ShardReport) -> None:
        """A task is done."""

    def event(self, event: WorkEvent) -> None:
        """Something became of a task or a worker."""


class Watch(Protocol):
    """Opens an observer of a stage, for as long as the stage lasts."""

    def __call__(self, title: str, unit: str = "images", /) -> AbstractContextManager[Observer]: ...


class Unobserved:
    """An observer of work that is too short to be shown."""

    def begin(self, done: int, todo: int, capacity: Capacity | None = None) -> None:
        return None

    def report(self, report: ShardReport) -> None:
        return None

    def event(self, event: WorkEvent) -> None:
        return None


class Executor(Protocol):
    """Runs tasks somewhere."""

    def capacity(self, resources: ResourcesSpec) -> Capacity:
        """Turn `auto` into numbers. Raises SpecError or DeviceError if there is not what is asked for."""

    def run(self, job: Job[TaskT], tasks: Sequence[TaskT], observer: Observer) -> list[LostShard]:
        """Do each task once, and report each; the tasks that were lost after all attempts, by index.

        Raises StoppedError if it was told to stop and tasks are left, and what a task raises of IdleakError.
        """

    def call(self, capacity: Capacity, function: Callable[..., T], *arguments: object) -> T:
        """Call a function of a module on a machine that has the device. Raises what the function raises."""
