"""Kill what can be killed in mid-run, run the same command again, and compare with the uninterrupted run."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from jobs.__main__ import main
from jobs.cli.exit_codes import ExitCode
from tests.support.in_process import tasks_in_process
from tests.support.processes import finish, start_job, workers_of
from tests.support.small_world import SmallWorld, file_bytes, shards_of

SHARDS = 60
PLAN: dict[str, Any] = {
    "samples": SHARDS * 100,
    "shard_size": 100,
    "resources": {"device": "cpu", "workers": 2, "threads_per_worker": 1},
}


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    while not condition():
        assert process.poll() is None, "the run ended before it could be disturbed"
        time.sleep(0.002)


def has_shards(run: Path, count: int) -> bool:
    return shards_of(run) >= count


@pytest.fixture(scope="module")
def world(world_template: SmallWorld, tmp_path_factory: pytest.TempPathFactory) -> SmallWorld:
    """One copy for the whole module; each test has a run of its own."""
    return world_template.copy(tmp_path_factory.mktemp("resume") / "world")


@pytest.fixture(scope="module")
def clean_bytes(world: SmallWorld) -> dict[str, bytes]:
    """The files of the run that nobody disturbs."""
    with tasks_in_process():
        assert main(["audit", str(world.spec_path("clean", **PLAN))]) == ExitCode.OK
    return dict(file_bytes(world.folder / "runs" / "clean"))


@pytest.mark.slow
def test_a_killed_worker_and_a_killed_driver_change_no_byte(
    world: SmallWorld, clean_bytes: dict[str, bytes]
) -> None:
    spec, run = world.spec_path("killed", **PLAN), world.folder / "runs" / "killed"
    process = start_job("audit", spec)
    wait_for(partial(has_shards, run, 3), process)
    for worker in workers_of(process)[:1]:
        worker.kill()
    killed_at = shards_of(run)
    wait_for(partial(has_shards, run, killed_at + 5), process)
    process.kill()
    finish(process)
    assert shards_of(run) < SHARDS, "the driver was killed too late to show anything"

    code, output = finish(start_job("audit", spec))
    assert code == ExitCode.OK, output
    assert "there already" in output
    assert file_bytes(run) == clean_bytes
    assert not list(run.rglob("*.partial"))


@pytest.mark.slow
def test_a_run_goes_on_without_the_worker_that_died(world: SmallWorld, clean_bytes: dict[str, bytes]) -> None:
    spec, run = world.spec_path("worker", **PLAN), world.folder / "runs" / "worker"
    process = start_job("audit", spec)
    for target in (3, 15):
        wait_for(partial(has_shards, run, target), process)
        victims = workers_of(process)
        assert victims, "no worker was found to kill"
        victims[0].kill()
    code, output = finish(process)
    assert code == ExitCode.OK, output
    assert file_bytes(run) == clean_bytes


@pytest.mark.slow
def test_an_interrupted_run_says_how_to_go_on_and_leaves_no_lock(world: SmallWorld) -> None:
    spec, run = world.spec_path("interrupted", **PLAN), world.folder / "runs" / "interrupted"
    process = start_job("audit", spec)
    wait_for(partial(has_shards, run, 3), process)
    process.send_signal(signal.SIGINT)
    code, output = finish(process)
    assert code == ExitCode.INTERRUPTED
    assert "run the same command to go on" in output
    assert not (run / "run.lock").exists()


@pytest.mark.usefixtures("in_process")
def test_the_first_sigterm_lets_the_shards_under_way_end(
    world: SmallWorld, clean_bytes: dict[str, bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    spec, run = world.spec_path("drained", **PLAN), world.folder / "runs" / "drained"
    process = start_job("audit", spec)
    wait_for(partial(has_shards, run, 3), process)
    process.send_signal(signal.SIGTERM)
    code, output = finish(process)
    assert code == ExitCode.RETRY, output
    done = shards_of(run)
    assert 3 <= done < SHARDS and f"stopped with {SHARDS - done} shards to do" in output
    assert not (run / "run.lock").exists() and not list(run.rglob("*.partial"))
    assert main(["audit", str(spec)]) == ExitCode.OK
    assert f"{done * 100:,} there already" in capsys.readouterr().err
    assert file_bytes(run) == clean_bytes


@pytest.mark.slow
@pytest.mark.usefixtures("in_process")
def test_the_second_sigterm_ends_within_five_seconds(world: SmallWorld) -> None:
    spec, run = world.spec_path("ended", **PLAN), world.folder / "runs" / "ended"
    process = start_job("audit", spec)
    wait_for(partial(has_shards, run, 3), process)
    for worker in workers_of(process):
        # What is under way never ends now.
        worker.suspend()
    process.send_signal(signal.SIGTERM)
    time.sleep(1)
    assert process.poll() is None
    start = time.monotonic()
    process.send_signal(signal.SIGTERM)
    code, _ = finish(process)
    assert time.monotonic() - start < 5.5 and code != ExitCode.OK
    assert main(["audit", str(spec)]) == ExitCode.OK
