"""Ray's actors, as the schedule knows them."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection, Sequence
from typing import Any, Generic

import ray
from ray.actor import ActorHandle
from ray.exceptions import ActorUnavailableError, RayActorError, RayError, RayTaskError

from distributed.execution.executor import DeadDeviceError
from distributed.execution.schedule import (
    ActorDiedError,
    ActorUnreachableError,
    NodeLostError,
    TaskFailedError,
)
from distributed.execution.task_queue import TaskT
from schemas.errors import IdleakError, first_line

GET_SECONDS = 60.0
END_SECONDS = 30.0

NODE_LOST = "node has died"
"""What Ray says of an actor whose machine is gone."""

ANSI_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


class RayActors(Generic[TaskT]):
    """Ray's actors; `spawn` starts one that has a method `run`."""

    def __init__(self, spawn: Callable[[], ActorHandle[Any]]) -> None:
        self._spawn = spawn
        self._latest: dict[ActorHandle[Any], Any] = {}
        self._written: dict[ActorHandle[Any], Any] = {}

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

    def written(self, actor: Any, task: TaskT) -> Any:
        self._written[actor] = actor.written.remote(task.index)
        return self._written[actor]

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
        handles = (self._latest, self._written)
        latest = [known.pop(actor) for actor in actors for known in handles if actor in known]
        for actor in actors:
            ray.kill(actor)
        if latest:
            ray.wait(latest, num_returns=len(latest), timeout=END_SECONDS)


def _reason(error: Exception) -> str:
    """One line: a task's own error, or the last line of what Ray says of a dead actor, which says why."""
    if isinstance(error, RayTaskError):
        return f"{type(error.cause).__name__}: {first_line(error.cause)}"
    lines = [line.strip() for line in ANSI_COLOURS.sub("", str(error)).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[-1] if lines else ''}"
