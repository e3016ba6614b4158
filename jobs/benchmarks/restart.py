"""`idleak bench restart SPEC`: what a finished audit costs that is started again."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from jobs.benchmarks.table import Bar, Measured, Report, Table, publish
from jobs.cli.exit_codes import ExitCode
from schemas.errors import DeviceError
from schemas.spec.audit import AuditSpec

BEYOND_RAY_SECONDS, FLAT_SECONDS, FLAT_MEMORY = 2.0, 0.5, 1.1
START_RAY = """
from distributed.execution.cluster import RayExecutor
from schemas.spec.resources import ResourcesSpec
with RayExecutor() as executor:
    executor.capacity(ResourcesSpec())
"""
AUDIT = """
from jobs.__main__ import main
if code := main(["audit", {path!r}]):
    raise SystemExit(code)
"""
# In kB; rusage would tell of the process that started this one, too.
TELL_PEAK = """
import sys
with open("/proc/self/status") as file:
    peak = next(line.split()[1] for line in file if line.startswith("VmHWM"))
print(peak, file=sys.stderr)
"""

Run = tuple[float, float]
"""Seconds from start to exit, and the peak memory in MB."""


def bench_restart(
    spec: AuditSpec, shards: Sequence[int], repeats: int, output: Path | None, command: Sequence[str]
) -> ExitCode:
    """Audit as many samples as there are to be shards, then time the same command. FAILED if a bar fails."""
    with TemporaryDirectory(prefix="bench-") as folder:
        specs = {count: _audited(spec, count, Path(folder)) for count in shards}
        runs = {
            f"finished audit of {count:,} shards": AUDIT.format(path=str(path))
            for count, path in specs.items()
        }
        results = _interleaved(runs | {"Ray's own start and stop": START_RAY}, repeats)
    tables = [
        Table("Started again", ("what", "seconds", "peak MB"), [_row(*item) for item in results.items()])
    ]
    notes = [
        "Each shard holds one sample. Processes from start to exit; imports come from a warm disk cache."
    ]
    return publish(Report(command, repeats, tables, _bars(list(results.values())), notes), output)


def _audited(spec: AuditSpec, count: int, folder: Path) -> Path:
    """The path of a spec whose audit, with one sample in each of `count` shards, is done."""
    changes = {"samples": count, "shard_size": 1, "output": str(folder / f"run-{count}"), "ledger": None}
    path = folder / f"{count}.yaml"
    # JSON is YAML.
    path.write_text(spec.model_copy(update=changes).model_dump_json(), encoding="utf-8")
    _timed(AUDIT.format(path=str(path)))
    return path


def _interleaved(runs: dict[str, str], repeats: int) -> dict[str, list[Run]]:
    results: dict[str, list[Run]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, code in runs.items():
            results[name].append(_timed(code))
    return results


def _timed(code: str) -> Run:
    """Run Python code to its end. Raises DeviceError if it fails."""
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", code + TELL_PEAK], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    seconds = time.perf_counter() - start
    lines = done.stderr.strip().splitlines()
    if done.returncode:
        raise DeviceError(f"an audit could not be timed: {lines[-1] if lines else done.returncode}")
    return seconds, float(lines[-1]) / 1e3


def _row(name: str, runs: Sequence[Run]) -> tuple[str, str, str]:
    return name, str(_measured(runs, 0)), str(_measured(runs, 1))


def _measured(runs: Sequence[Run], place: int) -> Measured:
    return Measured(tuple(run[place] for run in runs))


def _bars(results: Sequence[Sequence[Run]]) -> list[Bar]:
    """results: of each number of shards, the fewest first, and of Ray at the end."""
    few, many, ray = results[0], results[-2], results[-1]
    seconds, memory = partial(_measured, place=0), partial(_measured, place=1)
    return [
        Bar(
            "most shards, seconds beyond Ray's own",
            _minus(seconds(many), seconds(ray)),
            BEYOND_RAY_SECONDS,
            True,
        ),
        Bar(
            "most shards, seconds beyond the fewest", _minus(seconds(many), seconds(few)), FLAT_SECONDS, True
        ),
        Bar("peak memory, most shards ÷ fewest", memory(many).per(memory(few)), FLAT_MEMORY, True),
    ]


def _minus(measured: Measured, other: Measured) -> Measured:
    return Measured(tuple(a - b for a, b in zip(measured.values, other.values, strict=True)))
