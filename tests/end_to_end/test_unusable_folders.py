"""Errors that last until somebody fixes them exit with 2; only those that may pass by themselves with 75."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from obstore.exceptions import GenericError, PermissionDeniedError

from distributed.storage.store import RunStore
from distributed.storage.store_faults import store_error
from jobs.__main__ import main
from jobs.cli.exit_codes import ExitCode, guarded
from schemas.errors import UnusableStoreError
from tests.support.models import tiny_generator
from tests.support.processes import ROOT, inherited_environment
from tests.support.small_world import SmallWorld

NOT_EVEN_ROOT = ("setpriv", "--inh-caps=-all", "--bounding-set=-dac_override,-dac_read_search")
"""Root without the right to pass over permissions."""
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
needs_permissions = pytest.mark.skipif(
    os.getuid() == 0 and shutil.which("setpriv") is None, reason="root may do everything, without setpriv"
)


def job(*command: str, **environment: str) -> tuple[int, str]:
    """Exit code and stderr of a job whose user has no more rights than the files say."""
    before = NOT_EVEN_ROOT if os.getuid() == 0 else ()
    done = subprocess.run(
        [*before, sys.executable, "-m", "jobs", *command],
        cwd=ROOT,
        env=inherited_environment() | environment,
        text=True,
        errors="surrogateescape",
        capture_output=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stderr


def one_line(stderr: str) -> str:
    """The one line that says why; there is no other, and no traceback."""
    lines = [line for line in stderr.splitlines() if line.startswith("idleak:")]
    assert len(lines) == 1 and "Traceback" not in stderr, stderr
    return lines[0]


@pytest.mark.parametrize(
    ("output", "says"),
    [
        ("taken", "it is a file: give a folder"),
        ("taken/run", "it lies in what is a file: give a folder"),
        ("/dev/null/run", "it lies in what is a file"),
        ("/proc/run", "check that it exists"),
        ("x" * 300, "give a shorter name"),
        ("circle/run", "symbolic links lead in a circle"),
    ],
)
def test_an_output_that_can_never_be_written(
    small_world: SmallWorld, capsys: pytest.CaptureFixture[str], output: str, says: str
) -> None:
    (small_world.folder / "taken").write_text("a file")
    (small_world.folder / "circle").symlink_to("circle")
    assert main(["audit", str(small_world.spec_path(output=output))]) == ExitCode.BAD_SPEC
    assert says in one_line(capsys.readouterr().err)


@pytest.mark.parametrize("name", ["status", "verify", "repair", "reveal", "report", "explore", "purge"])
def test_a_folder_that_holds_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    assert main([name, str(tmp_path)]) == ExitCode.BAD_SPEC
    assert "holds no run" in one_line(capsys.readouterr().err)
    assert not list(tmp_path.iterdir())


def test_a_file_that_a_run_has_lost(finished_world: SmallWorld, capsys: pytest.CaptureFixture[str]) -> None:
    (finished_world.run / "scores.parquet").unlink()
    assert main(["report", str(finished_world.run)]) == ExitCode.DAMAGED
    assert "scores.parquet is not there" in one_line(capsys.readouterr().err)


def test_a_record_that_is_none(finished_world: SmallWorld, capsys: pytest.CaptureFixture[str]) -> None:
    (finished_world.run / "run.json").write_text("{}")
    assert main(["verify", str(finished_world.run)]) == ExitCode.DAMAGED
    assert "is not a run's record" in one_line(capsys.readouterr().err)


def test_a_bucket_that_is_not_there(
    small_world: SmallWorld, bucket: str, capsys: pytest.CaptureFixture[str]
) -> None:
    elsewhere = bucket.replace("audits", "no-such-bucket")
    assert main(["audit", str(small_world.spec_path(output=elsewhere))]) == ExitCode.BAD_SPEC
    assert "404 Not Found" in one_line(capsys.readouterr().err)


@pytest.mark.parametrize(
    ("error", "lasts"),
    [
        *(
            (OSError(number, os.strerror(number)), True)
            for number in (errno.EACCES, errno.EROFS, errno.EPERM)
        ),
        *(
            (OSError(number, os.strerror(number)), False)
            for number in (errno.ENOSPC, errno.EDQUOT, errno.EIO)
        ),
        (TimeoutError("timed out"), False),
        (GenericError("Unable to open file /run/lock#1: Read-only file system (os error 30)\n\nmore"), True),
        (GenericError("Unable to copy data to file: No space left on device (os error 28)\n\nmore"), False),
        (GenericError("Server returned non-2xx status code: 503 Service Unavailable: 404"), False),
        (PermissionDeniedError("Server returned non-2xx status code: 403 Forbidden: no"), True),
    ],
)
def test_what_may_pass_by_itself(error: Exception, lasts: bool) -> None:
    assert isinstance(store_error("write", "run/lock", error), UnusableStoreError) is lasts


@needs_permissions
def test_a_folder_that_others_own(small_world: SmallWorld) -> None:
    spec = str(small_world.spec_path(output="locked/run"))
    (small_world.folder / "locked").mkdir(mode=0o500)
    code, said = job("audit", spec)
    assert code == ExitCode.BAD_SPEC and "Permission denied" in one_line(said)


@needs_permissions
@pytest.mark.parametrize(
    "folder", [pytest.param("candidates", marks=pytest.mark.slow), "candidates/person-003"]
)
def test_a_folder_of_photos_that_cannot_be_read_is_not_called_empty(
    small_world: SmallWorld, folder: str
) -> None:
    spec = str(small_world.spec_path())
    (small_world.folder / folder).chmod(0)
    code, said = job("audit", spec)
    (small_world.folder / folder).chmod(0o700)
    assert code == ExitCode.BAD_SPEC
    assert f"cannot list {small_world.folder / folder}: Permission denied; make it readable" in one_line(said)


@needs_permissions
def test_a_file_below_a_folder_that_cannot_be_entered(small_world: SmallWorld) -> None:
    model = small_world.folder / "generator.onnx"
    small_world.folder.chmod(0)
    code, said = job("inspect", str(model))
    small_world.folder.chmod(0o700)
    assert code == ExitCode.BAD_SPEC and "Permission denied" in one_line(said)


def test_a_fault_of_the_system_is_told_in_one_line_and_others_are_not_hidden(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert guarded(lambda: len((tmp_path / ("x" * 300)).read_bytes())) == ExitCode.BAD_SPEC
    assert "File name too long" in one_line(capsys.readouterr().err)
    with pytest.raises(FileNotFoundError):
        guarded(lambda: len((tmp_path / "missing").read_bytes()))


@pytest.mark.parametrize(
    ("folder", "says"),
    [
        pytest.param("/dev/null/x", "Not a directory", marks=pytest.mark.slow),
        ("x" * 60, "too long a path for Ray"),
    ],
)
def test_a_folder_in_which_ray_cannot_start(small_world: SmallWorld, folder: str, says: str) -> None:
    with tempfile.TemporaryDirectory() as root:
        place = Path(root) / folder
        if not folder.startswith("/"):
            place.mkdir()
        code, said = job("audit", str(small_world.spec_path()), RAY_TMPDIR=str(place))
        assert code == ExitCode.BAD_SPEC
        assert says in one_line(said) and "RAY_TMPDIR" in said
        code, said = job("doctor", RAY_TMPDIR=str(place))
        assert code == ExitCode.FAILED and "Traceback" not in said


def test_a_name_that_the_locale_does_not_have(small_world: SmallWorld) -> None:
    spec = str(small_world.spec_path(output="runs/Łódź"))
    code, said = job("audit", spec, **ASCII)
    assert code == ExitCode.BAD_SPEC and "set PYTHONUTF8=1" in one_line(said)
    assert not (small_world.folder / "runs").exists()


@pytest.mark.parametrize("umlaut", ["generator", "candidates", "output"])
def test_init_leaves_nothing_where_the_locale_lacks_a_name(tmp_path: Path, umlaut: str) -> None:
    """Whichever of the paths has it; before anything is tried."""
    names = ("generator", "candidates", "output")
    generator, candidates, output = (tmp_path / ("für" if name == umlaut else "for") for name in names)
    for folder in (generator, candidates, output):
        folder.mkdir(exist_ok=True)
    tiny_generator(generator / "generator.onnx")
    words = [generator / "generator.onnx", candidates, "--output", output / "audit.yaml"]
    code, said = job("init", *map(str, words), **ASCII)
    assert code == ExitCode.BAD_SPEC and "set PYTHONUTF8=1" in one_line(said)
    assert not list(tmp_path.rglob("*.yaml"))


def test_a_folder_whose_name_is_no_utf8(small_world: SmallWorld, tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    spec = str(small_world.copy(folder).spec_path())
    for command in (["audit", spec], ["plan", spec], ["status", str(folder)]):
        code, said = job(*command)
        assert code == ExitCode.BAD_SPEC and "is not UTF-8" in one_line(said)
    with pytest.raises(Exception, match="is not UTF-8"):
        RunStore(str(folder))
