"""Processes that are killed at random, run after run: the same command must always get to the same bytes.

IDLEAK_KILL_SECONDS: for how long, ten minutes without it; 0: one run. IDLEAK_KILL_SEED: the seed of an
earlier run.
"""

from __future__ import annotations

import os
import random
import subprocess
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from jobs.cli.exit_codes import ExitCode
from tests.support.processes import descendants, finish, is_worker, start_job
from tests.support.small_world import SmallWorld, file_bytes

PLAN: dict[str, Any] = {
    "samples": 1200,
    "shard_size": 20,
    "resources": {"device": "cpu", "workers": 2, "threads_per_worker": 1},
}
SECONDS = 600.0
KILLS_OF_A_RUN = 4
LONGEST = 12.0
"""Seconds from the start of a command to the last moment that it may be disturbed at."""


def victims(process: subprocess.Popen[str]) -> list[tuple[str, psutil.Process]]:
    """The driver, its workers, and Ray's own processes."""
    killable = [
        (name, child)
        for name, child in descendants(process)
        if is_worker(name) or name in ("raylet", "gcs_server")
    ]
    return [("driver", psutil.Process(process.pid)), *killable]


def disturbed(spec: Path, luck: random.Random, history: list[str]) -> tuple[int, str]:
    """Start an audit, kill one of its processes at some moment, and wait for what comes of it."""
    process = start_job("audit", spec)
    moment = luck.uniform(0.5, LONGEST)
    deadline = time.monotonic() + moment
    while process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    if process.poll() is None:
        name, victim = luck.choice(victims(process))
        history.append(f"{name} after {moment:.2f} s")
        try:
            victim.kill()
        except psutil.NoSuchProcess:
            history.append("which had just ended")
    return finish(process)


def one_run(world: SmallWorld, place: int, luck: random.Random, history: list[str]) -> Path:
    """The folder of a run that was disturbed a few times and then left alone."""
    spec = world.spec_path(f"run-{place}", **PLAN)
    for _ in range(luck.randint(1, KILLS_OF_A_RUN)):
        code, output = disturbed(spec, luck, history)
        history.append(f"exit code {code}")
        assert code in (ExitCode.OK, ExitCode.FAILED, ExitCode.RETRY, ExitCode.SHARDS_LOST) or code < 0, (
            output
        )
        assert "Traceback" not in output, " ".join([*history, output])
    code, output = finish(start_job("audit", spec))
    assert code == ExitCode.OK, output
    return world.folder / "runs" / f"run-{place}"


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_whatever_is_killed_the_same_command_gets_to_the_same_bytes(small_world: SmallWorld) -> None:
    seed = int(os.environ.get("IDLEAK_KILL_SEED", time.time_ns() % 2**32))
    print(f"IDLEAK_KILL_SEED={seed}")
    luck, history = random.Random(seed), [f"IDLEAK_KILL_SEED={seed}"]
    code, output = finish(start_job("audit", small_world.spec_path("clean", **PLAN)))
    assert code == ExitCode.OK, output
    clean = dict(file_bytes(small_world.folder / "runs" / "clean"))
    end = time.monotonic() + float(os.environ.get("IDLEAK_KILL_SECONDS", SECONDS))
    place = 0
    while place == 0 or time.monotonic() < end:
        history.append(f"run {place}:")
        run = one_run(small_world, place, luck, history)
        assert file_bytes(run) == clean, " ".join(history)
        place += 1
    print(" ".join(history))
