"""The tasks that wait for an actor, how often each has failed, and those that are given up."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from schemas.run.shard import LostShard


class Task(Protocol):
    """What the pool needs to know of a unit of work."""

    @property
    def index(self) -> int: ...


TaskT = TypeVar("TaskT", bound=Task)
ActorT = TypeVar("ActorT", bound=Hashable)


@dataclass
class TaskQueue(Generic[TaskT, ActorT]):
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

    def put_back(self, task: TaskT) -> None:
        """Have the task done again next, and charge it nothing."""
        self.fresh.appendleft(task)
