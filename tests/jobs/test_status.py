"""What another terminal is told of a run: at work, killed, and finished."""

from __future__ import annotations

import re
import signal
import time
from pathlib import Path

import pytest

from jobs.__main__ import main
from jobs.cli.exit_codes import ExitCode
from tests.support.processes import finish, start_job
from tests.support.small_world import SmallWorld, shards_of


def status(capsys: pytest.CaptureFixture[str], run: Path) -> str:
    capsys.readouterr()
    assert main(["status", str(run)]) == ExitCode.OK
    return capsys.readouterr().out


def test_a_run_at_work_then_killed(small_world: SmallWorld, capsys: pytest.CaptureFixture[str]) -> None:
    spec = small_world.spec_path(samples=60_000, shard_size=100)
    process = start_job("audit", spec, module="tests.support.in_process")
    deadline = time.monotonic() + 120
    while "rate: " not in (said := "" if shards_of(small_world.run) < 3 else status(capsys, small_world.run)):
        assert process.poll() is None and time.monotonic() < deadline, said
        time.sleep(0.2)
    assert f"process {process.pid} on " in said and "works on it" in said
    assert re.search(r"sampling: [\d,]+ of 60,000 images made", said) and " left" in said
    assert re.search(r"workers' time: \w+ \d+%, ", said)
    process.send_signal(signal.SIGKILL)
    finish(process)
    before = shards_of(small_world.run)
    said = status(capsys, small_world.run)
    assert f"process {process.pid} was killed" in said and " left" not in said
    assert "Next: the same command as before goes on, idleak audit SPEC" in said
    counts = re.search(r"samples: ([\d,]+) of 60,000 .* ([\d,]+) of 600 shards", said)
    assert counts is not None
    done, made = (int(group.replace(",", "")) for group in counts.groups())
    assert done == 100 * made and before <= made <= shards_of(small_world.run)


def test_a_finished_run(finished_world: SmallWorld, capsys: pytest.CaptureFixture[str]) -> None:
    said = status(capsys, finished_world.run)
    assert f"{finished_world.run}: finished" in said and f"Next: idleak report {finished_world.run}" in said
    assert "samples: 600 of 600 (100%), 6 of 6 shards" in said and "outcomes: 600 ok; 0 are no images" in said
    assert re.search(r"results.json was made in: enroll \d+ s, sample \d+ s, reduce \d+ s", said)
    assert " left" not in said and "shards." not in said
    (finished_world.run / "samples" / "shard-000002.parquet").unlink()
    (finished_world.run / "results.json").unlink()
    said = status(capsys, finished_world.run)
    assert (
        "stopped" in said
        and "Next: the same command as before" in said
        and "500 of 600 (83%), 5 of 6 shards" in said
    )


def test_a_purged_run(finished_world: SmallWorld, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["purge", str(finished_world.run), "--yes"]) == ExitCode.OK
    assert f"{finished_world.run}: purged 20" in status(capsys, finished_world.run)


def test_what_is_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", str(tmp_path)]) == ExitCode.BAD_SPEC
    assert "holds no run" in capsys.readouterr().err
    assert main(["status", str(tmp_path / "nowhere")]) == ExitCode.BAD_SPEC
    assert "is not a folder" in capsys.readouterr().err
