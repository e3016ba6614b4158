"""What the benches of speed share: interleaved repeats, ratios with bars, and one Markdown report."""

from __future__ import annotations

import os
import platform
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import faiss

from distributed.runtime.versions import package_version
from jobs.cli.exit_codes import ExitCode

PACKAGES = ("numpy", "onnxruntime", "opencv-python-headless", "insightface", "ray", "torch")
CPU_FILE = Path("/proc/cpuinfo")


@dataclass(frozen=True)
class Measured:
    """One figure of each repeat, in their order."""

    values: Sequence[float]

    @property
    def median(self) -> float:
        return median(self.values)

    def per(self, other: Measured) -> Measured:
        """This over the other, repeat by repeat: what slows both in one repeat drops out."""
        return Measured(tuple(a / b for a, b in zip(self.values, other.values, strict=True)))

    def times(self, factor: float) -> Measured:
        return Measured(tuple(factor * value for value in self.values))

    def over(self, amount: float) -> Measured:
        """From seconds to a rate, or back."""
        return Measured(tuple(amount / value for value in self.values))

    def __str__(self) -> str:
        return f"{figure(self.median)} ({figure(min(self.values))}–{figure(max(self.values))})"


@dataclass(frozen=True)
class Bar:
    """A promise of speed: the median is at least, or at most, `limit`."""

    claim: str
    measured: Measured
    limit: float
    at_most: bool = False

    @property
    def holds(self) -> bool:
        measured = self.measured.median
        return measured <= self.limit if self.at_most else measured >= self.limit

    @property
    def cells(self) -> tuple[str, ...]:
        sign = "≤" if self.at_most else "≥"
        return self.claim, f"{sign} {self.limit:g}", str(self.measured), "holds" if self.holds else "FAILS"


@dataclass(frozen=True)
class Table:
    """A table of the report: all cells are text."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]

    def __str__(self) -> str:
        lines = [self.columns, *self.rows]
        widths = [max(len(line[place]) for line in lines) for place in range(len(self.columns))]
        rule = ["-" * width for width in widths]
        body = (
            "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |"
            for line in (self.columns, rule, *self.rows)
        )
        return "\n".join([f"## {self.title}", "", *body])


@dataclass(frozen=True)
class Report:
    """What one bench has found. command: the words after `idleak bench`; repeats: 0 if nothing is timed."""

    command: Sequence[str]
    repeats: int
    tables: Sequence[Table]
    bars: Sequence[Bar]
    notes: Sequence[str]

    @property
    def markdown(self) -> str:
        bars = Table("Bars", ("claim", "bar", "measured", "verdict"), [bar.cells for bar in self.bars])
        parts = [f"# idleak bench {self.command[0]}", machine(self.command)]
        if self.repeats:
            repeats = f"Medians of {self.repeats} interleaved repeats, with least and most"
            parts.append(f"{repeats}; ratios repeat by repeat.")
        parts += [str(table) for table in [*self.tables, *([bars] if self.bars else [])]]
        parts += ["\n".join(f"- {note}" for note in self.notes)] if self.notes else []
        return "\n\n".join(parts) + "\n"


def publish(report: Report, output: Path | None) -> ExitCode:
    """Print the report, and write it if asked; FAILED if a bar does not hold."""
    print(report.markdown, end="", flush=True)
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(report.markdown, encoding="utf-8")
    return ExitCode.OK if all(bar.holds for bar in report.bars) else ExitCode.FAILED


def interleaved(contenders: Mapping[str, Callable[[], float]], repeats: int) -> dict[str, Measured]:
    """Run all contenders in turn, `repeats` times, so that the machine's drift hits all of them alike."""
    measured: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(repeats):
        for name, run in contenders.items():
            measured[name].append(run())
    return {name: Measured(tuple(values)) for name, values in measured.items()}


def figure(value: float) -> str:
    """Three digits, or all of a large number's whole ones."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def machine(command: Sequence[str]) -> str:
    """Date, command, processor and versions, as Markdown lines."""
    versions = [f"{name} {package_version(name)}" for name in PACKAGES]
    lines = [
        f"date: {datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        f"command: `{shlex.join(['idleak', 'bench', *command])}`",
        f"processor: {_processor()}, {cores()} cores",
        f"python {platform.python_version()}, {', '.join(versions)}, faiss {faiss.__version__}",
    ]
    return "\n".join(f"- {line}" for line in lines)


def _processor() -> str:
    lines = CPU_FILE.read_text(encoding="utf-8").splitlines() if CPU_FILE.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())
