"""`idleak doctor`: is this machine ready? Versions, devices, providers, and remedies for what is missing."""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from distributed.execution.ray_folder import drop_ray_folder, make_ray_folder
from distributed.runtime.offline import VARIABLES, still_on
from distributed.runtime.versions import GPU_BUILDS
from distributed.sampling.sandbox.landlock import landlock_version
from jobs.cli.arguments import StrictCommand
from jobs.cli.exit_codes import ExitCode
from jobs.cli.say import say_next
from schemas.errors import SpecError

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = {
    "cv2": "opencv-python-headless",
    "faiss": "faiss-cpu",
    "insightface": "insightface",
    "numpy": "numpy",
    "obstore": "obstore",
    "onnxruntime": "onnxruntime",
    "pyarrow": "pyarrow",
    "pydantic": "pydantic",
    "ray": "ray",
    "torch": "torch",
}
LEAST_FREE_BYTES = 2 * 10**9
LEAST_DRIVER = 580
"""Of NVIDIA: the first one for CUDA 13."""


@dataclass(frozen=True)
class Finding:
    """One line of the report. `needed`: the CPU cannot do without it."""

    what: str
    good: bool
    says: str
    fix: str = ""
    needed: bool = True


@click.command("doctor", cls=StrictCommand, help=__doc__)
@click.option(
    "--device",
    type=click.Choice(("cpu", "cuda")),
    default="cpu",
    help="what audits will ask for; with cuda, a GPU that is not ready is a failure",
)
def command(*, device: str) -> ExitCode:
    findings = [*_cpu_findings(), *_gpu_findings()]
    Console().print(_table(findings))
    broken = [finding.what for finding in findings if finding.needed and not finding.good]
    gpu = all(finding.good for finding in findings if finding.what.startswith("GPU"))
    print("CPU: " + (f"not ready, fix {', '.join(broken)}" if broken else "ready"))
    print("GPU: " + ("ready" if gpu else "not ready; see the last column, or use `device: cpu`"))
    if broken:
        say_next("put right what is missing, by the last column, then idleak doctor again")
    else:
        say_next("idleak init GENERATOR PEOPLE COHORT writes a spec from what is there")
    return ExitCode.FAILED if broken or (device == "cuda" and not gpu) else ExitCode.OK


def _cpu_findings() -> Iterator[Finding]:
    good = sys.version_info >= (3, 11)
    yield Finding("python", good, sys.version.split()[0], "install Python 3.11 or newer")
    for module, package in PACKAGES.items():
        yield _package(module, package)
    yield _works("onnxruntime on the CPU", _has_cpu_provider, "pip install onnxruntime")
    yield _works("faiss search", _faiss_searches, "pip install faiss-cpu")
    free = shutil.disk_usage(ROOT).free
    yield Finding("disk", free > LEAST_FREE_BYTES, f"{free / 1e9:,.0f} GB free", "free some space")
    yield _telemetry()
    yield _works("temporary files", _temporary_files, "set TMPDIR to a folder that can be written")
    yield _works(
        "folder for Ray", _ray_folder, "set RAY_TMPDIR to a short path of a folder that can be written"
    )
    yield _landlock()
    yield Finding("processor", True, f"{os.cpu_count()} cores")
    address = os.environ.get("RAY_ADDRESS") or "local"
    yield Finding("ray", True, "starts its own" if address == "local" else f"joins {address}")


def _telemetry() -> Finding:
    on = still_on()
    off = ", ".join(f"{name}={value}" for name, value in VARIABLES.items())
    says = f"not switched off: {', '.join(on)}" if on else f"off: {off}"
    fix = "let nothing import these packages, or change these variables, before idleak starts"
    return Finding("telemetry of libraries", not on, says, fix)


def _landlock() -> Finding:
    """Generators that are code can do without, but then read what the user may."""
    version = landlock_version()
    says = f"Landlock, version {version}" if version else "no Landlock: code may read what this user may"
    fix = "a Linux kernel of 5.13 or newer with Landlock, or a user without access to the gallery"
    return Finding("files of generators' code", version > 0, says, fix, needed=False)


def _package(module: str, package: str) -> Finding:
    try:
        importlib.import_module(module)
    except ImportError as error:
        return Finding(package, False, str(error), f"pip install {package}")
    return Finding(package, True, _version(package))


def _version(package: str) -> str:
    """The version of a package, or of its GPU build."""
    for name in (package, GPU_BUILDS.get(package, package)):
        try:
            return version(name) + ("" if name == package else f" ({name})")
        except PackageNotFoundError:
            continue
    return "of unknown version"


def _works(what: str, check: Callable[[], str | None], fix: str, *, needed: bool = True) -> Finding:
    """`check` says what is wrong, or None."""
    try:
        problem = check()
    except ImportError as error:
        problem = str(error)
    return Finding(what, problem is None, problem or "works", fix, needed)


def _temporary_files() -> str | None:
    try:
        with tempfile.TemporaryFile() as file:
            file.write(b"idleak")
    except OSError as error:
        return error.strerror or str(error)
    return None


def _ray_folder() -> str | None:
    try:
        drop_ray_folder(make_ray_folder())
    except SpecError as error:
        return str(error)
    return None


def _has_cpu_provider() -> str | None:
    import onnxruntime

    providers = onnxruntime.get_available_providers()
    return None if "CPUExecutionProvider" in providers else f"only {', '.join(providers)}"


def _faiss_searches() -> str | None:
    import faiss
    import numpy as np

    rows = np.eye(4, dtype=np.float32)
    _, neighbours = faiss.knn(rows, rows, 1, metric=faiss.METRIC_INNER_PRODUCT)
    return None if neighbours[:, 0].tolist() == [0, 1, 2, 3] else "finds wrong neighbours"


def _gpu_findings() -> Iterator[Finding]:
    driver = f"install NVIDIA's driver {LEAST_DRIVER} or newer"
    yield _works("GPU: driver", _has_driver, driver, needed=False)
    yield _works("GPU: torch", _torch_has_cuda, "pip install torch (a CUDA build)", needed=False)
    own = "make gpu, an environment of its own: .venv-gpu/bin/idleak"
    yield _works("GPU: onnxruntime", _has_cuda_provider, own, needed=False)
    yield _works("GPU: faiss", _faiss_has_gpu, own, needed=False)


def _has_driver() -> str | None:
    """The index's torch and onnxruntime are built for CUDA 13, for which older drivers are too old."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return "no nvidia-smi found"
    command = [tool, "--query-gpu=driver_version", "--format=csv,noheader"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    if done.returncode != 0:
        return f"nvidia-smi fails: {(done.stderr or done.stdout).strip().partition(chr(10))[0]}"
    version = done.stdout.strip().partition("\n")[0]
    major = version.partition(".")[0]
    if not major.isdecimal() or int(major) < LEAST_DRIVER:
        return f"driver {version or 'of no GPU'}, older than {LEAST_DRIVER}, which CUDA 13 needs"
    return None


def _torch_has_cuda() -> str | None:
    import torch

    return None if torch.cuda.is_available() else f"torch {torch.__version__} sees no CUDA device"


def _has_cuda_provider() -> str | None:
    import onnxruntime

    providers = onnxruntime.get_available_providers()
    return None if "CUDAExecutionProvider" in providers else f"only {', '.join(providers)}"


def _faiss_has_gpu() -> str | None:
    import faiss

    gpus = faiss.get_num_gpus() if hasattr(faiss, "get_num_gpus") else 0
    return None if gpus else f"faiss {faiss.__version__} sees no GPU"


def _table(findings: Sequence[Finding]) -> Table:
    table = Table("", "what", "found", "how to fix it")
    for finding in findings:
        mark = (
            "[green]ok[/]" if finding.good else ("[red]missing[/]" if finding.needed else "[yellow]absent[/]")
        )
        table.add_row(
            mark, escape(finding.what), escape(finding.says), "" if finding.good else escape(finding.fix)
        )
    return table
