"""A disk that is full, or read-only: a small file system of the test's own."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.cli.exit_codes import ExitCode
from tests.support.processes import run_apart
from tests.support.small_world import SmallWorld, file_bytes

MAY_MOUNT = shutil.which("unshare") is not None and (
    subprocess.run(
        ["unshare", "--mount", "--map-root-user", "mount", "-t", "tmpfs", "tmpfs", "/mnt"],
        capture_output=True,
        check=False,
    ).returncode
    == 0
)
pytestmark = pytest.mark.skipif(not MAY_MOUNT, reason="needs user namespaces that may mount")


def on_a_disk(run: Path, size: str, then: str, spec: Path) -> tuple[int, str, int, str]:
    """Exit code and output of an audit on a disk of `size`, and of the same command after `then`."""
    run.mkdir(parents=True)
    audit = f"{sys.executable} -m jobs audit {spec} 2>&1"
    script = (
        f"mount -t tmpfs -o size={size} tmpfs {run}; {audit}; echo code $?; "
        f"find {run} -name '*#*'; echo then; "
        f"mount -o remount,{then} tmpfs {run}; {audit}; echo code $?; echo then; cp -a {run} {run}.kept"
    )
    done = run_apart("unshare", "--mount", "--map-root-user", "sh", "-c", script, timeout=200)
    first, second, _ = done.stdout.split("then\n")
    codes = [int(re.findall(r"^code (\d+)$", output, re.MULTILINE)[-1]) for output in (first, second)]
    return codes[0], first, codes[1], second


@pytest.mark.slow
def test_a_full_disk_says_what_is_needed_and_loses_nothing(
    small_world: SmallWorld, finished_template: SmallWorld
) -> None:
    run = small_world.run
    code, first_output, again, output = on_a_disk(run, "100k", "size=50m", small_world.spec_path())
    assert code == ExitCode.RETRY, first_output
    last = [line for line in first_output.splitlines() if line.startswith("idleak:")][-1]
    assert str(run) in last and re.search(r"needs [\d,]+ bytes, where [\d,]+ are free", last), last
    assert "#" not in first_output.rpartition("code")[2], "a part of a file is left"
    assert again == ExitCode.OK, output
    assert re.search(r"images to do, [1-9][\d,]* there already", output), "what was there was made again"
    assert file_bytes(Path(f"{run}.kept")) == file_bytes(finished_template.run)


@pytest.mark.slow
def test_a_read_only_disk_says_so(small_world: SmallWorld) -> None:
    code, first_output, again, output = on_a_disk(small_world.run, "50m", "ro", small_world.spec_path())
    assert code == ExitCode.OK, first_output
    assert again == ExitCode.BAD_SPEC and "Read-only file system" in output, output
    assert file_bytes(Path(f"{small_world.run}.kept"))
