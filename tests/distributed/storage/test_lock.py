from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from distributed.storage.lock import run_lock
from distributed.storage.store import RunStore
from schemas.errors import LockedError
from schemas.run.artefacts import LOCK_FILE

ROOT = Path(__file__).resolve().parents[3]
HOLD = (
    "import sys; from distributed.storage.lock import run_lock\n"
    "from distributed.storage.store import RunStore\n"
    "with run_lock(RunStore(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
)


def hold(folder: Path) -> subprocess.Popen[str]:
    """Another process that holds the lock until its standard input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)],
        cwd=ROOT,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    return process


def take(folder: Path) -> None:
    with run_lock(RunStore(str(folder))):
        assert (folder / LOCK_FILE).exists()


def test_a_second_process_is_refused_and_told_of_the_first(tmp_path: Path) -> None:
    holder = hold(tmp_path)
    with pytest.raises(LockedError, match=f"process {holder.pid} on {socket.gethostname()} works on"):
        take(tmp_path)
    holder.communicate("", timeout=30)
    take(tmp_path)
    assert not (tmp_path / LOCK_FILE).exists()


def test_the_lock_of_a_dead_process_is_taken_over(tmp_path: Path) -> None:
    holder = hold(tmp_path)
    holder.kill()
    holder.communicate()
    assert (tmp_path / LOCK_FILE).exists()
    take(tmp_path)


def test_a_pid_that_lives_again_is_not_the_holder(tmp_path: Path) -> None:
    process = psutil.Process()
    holder = {"host": socket.gethostname(), "pid": process.pid, "started": process.create_time() - 1000}
    (tmp_path / LOCK_FILE).write_text(json.dumps(holder))
    take(tmp_path)


def test_another_machines_lock_is_never_taken(tmp_path: Path) -> None:
    (tmp_path / LOCK_FILE).write_text(json.dumps({"host": "elsewhere", "pid": 1, "started": 0}))
    with pytest.raises(LockedError, match=r"process 1 on elsewhere .* delete run\.lock there"):
        take(tmp_path)


def test_an_error_releases_the_lock(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), run_lock(RunStore(str(tmp_path))):
        raise ZeroDivisionError
    assert not (tmp_path / LOCK_FILE).exists()


TAKE = """
import sys, time
from pathlib import Path
from distributed.storage.lock import run_lock
from distributed.storage.store import RunStore
from schemas.errors import LockedError
signals = Path(sys.argv[2])
print("ready", flush=True)
while not (signals / "begin").exists():
    pass
try:
    with run_lock(RunStore(sys.argv[1])):
        print("held", flush=True)
        while not (signals / "end").exists():
            time.sleep(0.01)
except LockedError:
    print("refused")
"""


def test_of_many_that_find_a_dead_holder_one_takes_over(tmp_path: Path) -> None:
    """All begin at once, and the one that holds the lock does so until all others have been refused."""
    for attempt in range(3):
        (tmp_path / LOCK_FILE).write_text(json.dumps({"host": socket.gethostname(), "pid": 0, "started": 0}))
        signals = tmp_path.parent / f"signals-{tmp_path.name}-{attempt}"
        signals.mkdir()
        command = [sys.executable, "-c", TAKE, str(tmp_path), str(signals)]
        racers = [subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE) for _ in range(6)]
        for racer in racers:
            assert racer.stdout is not None and racer.stdout.readline() == "ready\n"
        (signals / "begin").touch()
        deadline = time.monotonic() + 60
        while sum(racer.poll() is not None for racer in racers) < 5 and time.monotonic() < deadline:
            time.sleep(0.01)
        (signals / "end").touch()
        answers = sorted(racer.communicate(timeout=60)[0].strip() for racer in racers)
        assert answers == ["held"] + ["refused"] * 5
        assert not (tmp_path / LOCK_FILE).exists()
