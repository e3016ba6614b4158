from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from distributed.runtime.offline import VARIABLES
from distributed.sampling.sandbox.landlock import landlock_version
from jobs.__main__ import main
from jobs.cli.checkout import shadowing
from jobs.cli.exit_codes import ExitCode
from tests.support.processes import ROOT


def test_this_machine_is_ready_for_the_cpu(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == ExitCode.OK
    printed = capsys.readouterr().out
    assert "CPU: ready" in printed and "missing" not in printed
    for package in ("onnxruntime", "ray", "torch", "pyarrow"):
        assert package in printed


def nvidia_smi(folder: Path, monkeypatch: pytest.MonkeyPatch, *lines: str) -> None:
    """A driver's tool that answers so."""
    tool = folder / "nvidia-smi"
    tool.write_text("\n".join(["#!/bin/sh", *lines, ""]), encoding="utf-8")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    monkeypatch.setenv("COLUMNS", "400")


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (["echo 535.183.01"], "driver 535.183.01, older than 580, which CUDA 13 needs"),
        (["echo no devices were found"], "driver no devices were found, older than 580"),
        (["echo cannot talk to the driver >&2", "exit 9"], "nvidia-smi fails: cannot talk to the driver"),
        (["echo 580.65.06"], "works"),
    ],
)
def test_a_driver_that_is_too_old_is_named(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    lines: list[str],
    says: str,
) -> None:
    nvidia_smi(tmp_path, monkeypatch, *lines)
    main(["doctor"])
    (line,) = (line for line in capsys.readouterr().out.splitlines() if "GPU: driver" in line)
    assert says in line


def test_a_gpu_that_is_asked_for_and_not_ready_is_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    """The tests' own onnxruntime is the CPU's."""
    assert main(["doctor", "--device", "cuda"]) == ExitCode.FAILED
    assert main(["doctor", "--device", "cpu"]) == ExitCode.OK


def test_whether_code_can_be_kept_from_files_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    main(["doctor"])
    printed = " ".join(capsys.readouterr().out.split())
    assert ("no Landlock" in printed) == (landlock_version() == 0) and "Landlock" in printed


def test_what_keeps_libraries_from_calling_home_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    assert main(["doctor"]) == ExitCode.OK
    off = ", ".join(f"{name}={value}" for name, value in VARIABLES.items())
    assert f"off: {off}" in capsys.readouterr().out
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "1")
    assert main(["doctor"]) == ExitCode.FAILED
    printed = capsys.readouterr().out
    assert "not switched off: RAY_USAGE_STATS_ENABLED" in printed
    assert "CPU: not ready, fix telemetry of libraries" in printed


def test_a_library_that_came_before_is_named() -> None:
    """Its telemetry is off here, by another value than ours."""
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import onnxruntime, sys; from jobs.__main__ import main; sys.exit(main(['doctor']))",
        ],
        cwd=ROOT,
        env=os.environ | {"COLUMNS": "400", "ORT_DISABLE_TELEMETRY": "true"},
        text=True,
        capture_output=True,
        timeout=120,
    )
    assert done.returncode == ExitCode.FAILED
    assert "not switched off: onnxruntime " in done.stdout


def test_what_a_gpu_would_need_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    main(["doctor"])
    printed = capsys.readouterr().out
    assert "GPU: not ready" in printed and "make gpu" in printed


def test_a_package_that_shadows_ours_is_named(tmp_path: Path) -> None:
    (tmp_path / "distributed").mkdir()
    (tmp_path / "distributed" / "__init__.py").touch()
    search = os.pathsep.join([str(tmp_path), str(ROOT)])
    done = subprocess.run(
        [sys.executable, "-c", "import sys; from jobs.__main__ import main; sys.exit(main(['doctor']))"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": search},
        text=True,
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == ExitCode.FAILED
    assert f"another package named distributed, in {tmp_path / 'distributed'}" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_our_own_shadows_nothing() -> None:
    assert shadowing() is None


def test_what_must_be_writable_is_checked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RAY_TMPDIR", "/dev/null/x")
    assert main(["doctor"]) == ExitCode.FAILED
    printed = capsys.readouterr().out
    assert "CPU: not ready, fix folder for Ray" in printed and "temporary files" in printed


def test_an_empty_address_of_ray_is_none(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "")
    assert main(["doctor"]) == ExitCode.OK
    assert "starts its own" in capsys.readouterr().out
