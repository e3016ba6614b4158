from __future__ import annotations

import os
import signal
import time
from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import ray

from distributed.pool import run_tasks
from schemas.errors import ModelError

pytestmark = pytest.mark.usefixtures("ray_session")


@dataclass(frozen=True)
class Numbered:
    index: int


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


def start(kind: type, folder: Path) -> Any:
    remote: Any = ray.remote(kind)
    return remote.options(num_cpus=1, max_restarts=0).remote(str(folder))


def run(tmp_path: Path, indices: list[int]) -> tuple[Counter[int], list[Any]]:
    reports: Counter[int] = Counter()
    tasks = [Numbered(index) for index in indices]
    lost = run_tasks(
        tasks, partial(start, Flaky, tmp_path), workers=2, on_report=lambda index: reports.update([index])
    )
    return reports, lost


def test_every_task_is_reported_once_whatever_fails_at_first(tmp_path: Path) -> None:
    reports, lost = run(tmp_path, list(range(12)))
    assert reports == Counter(range(12))
    assert lost == []


def test_poison_is_given_up_after_three_attempts_and_named_while_the_rest_is_done(tmp_path: Path) -> None:
    reports, lost = run(tmp_path, [0, 100, 1, 101, 2])
    assert reports == Counter([0, 1, 2])
    assert [(one.index, one.attempts) for one in lost] == [(100, 3), (101, 3)]
    assert lost[0].reason == "OSError: always"
    assert len(list(tmp_path.glob("100-*"))) == len(list(tmp_path.glob("101-*"))) == 3


def test_an_actor_that_cannot_start_says_why(tmp_path: Path) -> None:
    lost = run_tasks([Numbered(0)], partial(start, Stillborn, tmp_path), workers=1, on_report=print)
    assert [(one.index, one.attempts) for one in lost] == [(0, 3)]
    assert "no room at all" in lost[0].reason and "\n" not in lost[0].reason


def test_an_expected_error_ends_the_run_at_once_as_itself(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"^the model is broken$"):
        run(tmp_path, [200, *range(50)])
    assert len(list(tmp_path.iterdir())) < 51


def test_actors_end_with_the_run(tmp_path: Path) -> None:
    run(tmp_path, [0, 1])
    pids = {int(path.name.split("-")[2]) for path in tmp_path.iterdir()}
    deadline = time.monotonic() + 30
    while any(Path(f"/proc/{pid}").exists() for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_one_task_at_a_time_per_actor(tmp_path: Path) -> None:
    seen: list[int] = []
    tasks = [Numbered(index) for index in range(8)]
    assert run_tasks(tasks, partial(start, Slow, tmp_path), workers=2, on_report=seen.append) == []
    assert max(seen) <= 2 and len(seen) == 8


def test_no_tasks_need_no_actor(tmp_path: Path) -> None:
    def never() -> Any:
        raise AssertionError("no actor is needed")

    assert run_tasks([], never, workers=2, on_report=print) == []
