"""Whoever does the tasks of a run, its files are the same: one worker of Ray's, several, or this process."""

from __future__ import annotations

import pytest

from jobs.__main__ import main
from jobs.cli.exit_codes import ExitCode
from tests.support.in_process import tasks_in_process
from tests.support.small_world import SmallWorld, file_bytes


@pytest.mark.usefixtures("ray_session")
def test_workers_and_the_order_of_jobs_change_no_byte(
    finished_world: SmallWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One group of shards is reduced by the driver itself, several by actors."""
    monkeypatch.setattr("distributed.stages.passes.LEAST_SAMPLES_OF_A_GROUP", 100)
    pair = {"device": "cpu", "workers": 2, "threads_per_worker": 1}
    spec = str(finished_world.spec_path("pair", resources=pair))
    for job in ("sample", "enroll", "reduce"):
        assert main([job, spec]) == ExitCode.OK
    assert file_bytes(finished_world.folder / "runs" / "pair") == file_bytes(finished_world.run)


def test_tasks_in_this_process_give_the_bytes_of_rays(finished_world: SmallWorld) -> None:
    spec = str(finished_world.spec_path("here"))
    with tasks_in_process():
        assert main(["audit", spec]) == ExitCode.OK
    assert file_bytes(finished_world.folder / "runs" / "here") == file_bytes(finished_world.run)
