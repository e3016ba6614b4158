"""Tasks on real actors of Ray: what fails, dies, hangs or cannot start."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import ray

from distributed.execution.executor import DeadDeviceError
from distributed.execution.ray_actors import RayActors
from distributed.execution.schedule import LEAST_FINISHED, Schedule
from jobs.benchmarks.scheduler import Numbered
from schemas.errors import ModelError
from schemas.events import EventKind, WorkEvent
from schemas.run.shard import LostShard

with_ray = pytest.mark.usefixtures("ray_session")


class Flaky:
    """Fails, dies or works by the task's index; what was tried is noted in files, which outlive actors."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)

    def run(self, task: Numbered) -> int:
        attempt = len(list(self._folder.glob(f"{task.index}-*")))
        (self._folder / f"{task.index}-{attempt}-{os.getpid()}").touch()
        self._fail(task.index, attempt)
        return task.index

    def _fail(self, index: int, attempt: int) -> None:
        if index == 3 and attempt == 0:
            raise OSError("a passing fault")
        if index == 5 and attempt == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        if index == 100:
            raise OSError("always")
        if index == 101:
            os.kill(os.getpid(), signal.SIGKILL)
        if index == 200:
            raise ModelError("the model is broken")


class Forgetful:
    """Sleeps in task 0 at its first attempt."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)

    def run(self, task: Numbered) -> tuple[int, int]:
        (self._folder / f"{task.index}-{os.getpid()}").touch()
        if task.index == 0 and len(list(self._folder.glob("0-*"))) == 1:
            time.sleep(120)
        return task.index, os.getpid()


class Stillborn:
    """Cannot even start."""

    def __init__(self, folder: str) -> None:
        raise OSError("no room at all")

    def run(self, task: Numbered) -> int:
        return task.index


class Slow:
    """Notes how many of its kind work at once."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)

    def run(self, task: Numbered) -> int:
        mark = self._folder / str(task.index)
        mark.touch()
        time.sleep(0.05)
        together = len(list(self._folder.iterdir()))
        mark.unlink()
        return together


def start_one(kind: type, folder: Path) -> Any:
    remote: Any = ray.remote(kind)
    return remote.options(num_cpus=1, max_restarts=0).remote(str(folder))


def all_end(pids: set[int]) -> bool:
    """Ray ends a process a moment after it has said so."""
    deadline = time.monotonic() + 30
    while any(Path(f"/proc/{pid}").exists() for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not any(Path(f"/proc/{pid}").exists() for pid in pids)


def run_tasks(tasks: list[Numbered], spawn: Any, **given: Any) -> list[LostShard]:
    return Schedule(tasks, RayActors[Numbered](spawn), **given).run()


def run(tmp_path: Path, indices: list[int]) -> tuple[Counter[int], list[Any]]:
    reports: Counter[int] = Counter()
    tasks = [Numbered(index) for index in indices]
    lost = run_tasks(
        tasks,
        partial(start_one, Flaky, tmp_path),
        workers=lambda: 2,
        on_report=lambda index: reports.update([index]),
    )
    return reports, lost


@with_ray
def test_every_task_is_reported_once_whatever_fails_at_first(tmp_path: Path) -> None:
    reports, lost = run(tmp_path, list(range(12)))
    assert reports == Counter(range(12))
    assert lost == []


@with_ray
def test_poison_is_given_up_after_three_attempts_and_named_while_the_rest_is_done(tmp_path: Path) -> None:
    reports, lost = run(tmp_path, [0, 100, 1, 101, 2])
    assert reports == Counter([0, 1, 2])
    assert [(task.index, task.attempts) for task in lost] == [(100, 3), (101, 3)]
    assert lost[0].reason == "OSError: always"
    assert len(list(tmp_path.glob("100-*"))) == len(list(tmp_path.glob("101-*"))) == 3


@with_ray
def test_what_is_told_of_an_attempt_is_the_kind_of_its_error_and_no_more(tmp_path: Path) -> None:
    events: list[WorkEvent] = []
    run_tasks(
        [Numbered(3), Numbered(5), Numbered(100)],
        partial(start_one, Flaky, tmp_path),
        workers=lambda: 1,
        on_report=lambda index: None,
        on_event=events.append,
    )
    attempts = [
        (event.shard, event.what, event.attempts, event.error)
        for event in events
        if event.what is not EventKind.UP
    ]
    assert sorted(attempts) == [
        (3, EventKind.FAILED, 1, "OSError"),
        (3, EventKind.DONE, 1, ""),
        (5, EventKind.FAILED, 1, "ActorDiedError"),
        (5, EventKind.DONE, 1, ""),
        (100, EventKind.FAILED, 1, "OSError"),
        (100, EventKind.FAILED, 2, "OSError"),
        (100, EventKind.GIVEN_UP, 3, "OSError"),
    ]
    assert all(event.seconds > 0 for event in events if event.what is not EventKind.UP)


@with_ray
def test_an_actor_that_cannot_start_says_why(tmp_path: Path) -> None:
    lost = run_tasks(
        [Numbered(0)], partial(start_one, Stillborn, tmp_path), workers=lambda: 1, on_report=print
    )
    assert [(task.index, task.attempts) for task in lost] == [(0, 3)]
    assert "no room at all" in lost[0].reason and "\n" not in lost[0].reason


@with_ray
def test_an_expected_error_ends_the_run_at_once_as_itself(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"^the model is broken$"):
        run(tmp_path, [200, *range(50)])
    assert len(list(tmp_path.iterdir())) < 51


@with_ray
def test_actors_end_with_the_run(tmp_path: Path) -> None:
    run(tmp_path, [0, 1])
    assert all_end({int(path.name.split("-")[2]) for path in tmp_path.iterdir()})


@with_ray
def test_a_real_actor_that_hangs_is_ended(tmp_path: Path) -> None:
    reports: Counter[int] = Counter()
    lost = run_tasks(
        [Numbered(0), Numbered(1)],
        partial(start_one, Forgetful, tmp_path),
        workers=lambda: 1,
        on_report=lambda report: reports.update([report[0]]),
        deadline=8.0,
    )
    assert lost == [] and reports == Counter([0, 1])
    pids = [int(path.name.split("-")[1]) for path in tmp_path.glob("0-*")]
    assert len(set(pids)) == 2 and sum(Path(f"/proc/{pid}").exists() for pid in pids) <= 1


@with_ray
def test_a_task_that_sleeps_is_done_by_another_actor_and_the_sleeper_is_ended(tmp_path: Path) -> None:
    reports: dict[int, int] = {}
    tasks = [Numbered(index) for index in range(LEAST_FINISHED + 1)]
    start = time.monotonic()
    lost = run_tasks(
        tasks,
        partial(start_one, Forgetful, tmp_path),
        workers=lambda: 2,
        on_report=lambda report: reports.update([report]),
    )
    assert time.monotonic() - start < 60 and lost == []
    assert sorted(reports) == list(range(LEAST_FINISHED + 1))
    tried = {int(path.name.split("-")[1]) for path in tmp_path.glob("0-*")}
    assert len(tried) == 2 and reports[0] in tried
    assert all_end(tried)


@with_ray
def test_one_task_at_a_time_per_actor(tmp_path: Path) -> None:
    seen: list[int] = []
    tasks = [Numbered(index) for index in range(8)]
    assert (
        run_tasks(tasks, partial(start_one, Slow, tmp_path), workers=lambda: 2, on_report=seen.append) == []
    )
    assert max(seen) <= 2 and len(seen) == 8


@with_ray
def test_no_tasks_need_no_actor(tmp_path: Path) -> None:
    def never() -> Any:
        raise AssertionError("no actor is needed")

    assert run_tasks([], never, workers=lambda: 2, on_report=print) == []


class DeadDevice:
    """An actor whose every task fails as with CUDA's sticky errors, until it is another process."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)

    def run(self, task: Numbered) -> int:
        (self._folder / f"{task.index}-{os.getpid()}").touch()
        if len(list(self._folder.glob("0-*"))) == 1:
            raise DeadDeviceError("CUDA error: an illegal memory access was encountered")
        return task.index


@with_ray
def test_an_actor_whose_device_is_lost_ends_and_another_takes_over(tmp_path: Path) -> None:
    reports: Counter[int] = Counter()
    lost = run_tasks(
        [Numbered(0)],
        partial(start_one, DeadDevice, tmp_path),
        workers=lambda: 1,
        on_report=lambda index: reports.update([index]),
    )
    assert lost == [] and reports == Counter([0])
    pids = {int(path.name.partition("-")[2]) for path in tmp_path.glob("0-*")}
    assert len(pids) == 2 and all_end(pids)
