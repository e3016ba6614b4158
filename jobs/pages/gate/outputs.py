"""Where a gate is written: files of a pipeline, beside the run and not in it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from jobs.pages.gate.gate import Finding, Gate
from jobs.pages.gate.junit import junit_xml
from jobs.pages.gate.markdown import markdown
from jobs.pages.gate.sarif import sarif_json
from schemas.errors import UsageError

GITHUB_SUMMARY = "GITHUB_STEP_SUMMARY"


@dataclass(frozen=True)
class GateOutputs:
    """What a command was asked for. fail_on: findings that make it fail; the others: files, or None."""

    fail_on: tuple[Finding, ...] = ()
    junit: Path | None = None
    sarif: Path | None = None
    summary: Path | None = None
    github_summary: bool = False

    @property
    def wanted(self) -> bool:
        return bool(self.fail_on or self.files or self.github_summary)

    @property
    def files(self) -> list[Path]:
        return [path for path in (self.junit, self.sarif, self.summary) if path is not None]


def prepare(outputs: GateOutputs, environment: Mapping[str, str] = os.environ) -> None:
    """Before the work: raise UsageError for what could not be written after it, and remove what an earlier
    job left, so that nobody takes it for the outcome of this one."""
    if outputs.junit is not None and not outputs.fail_on:
        raise UsageError("--junit says which candidates fail: name the findings by --fail-on")
    if outputs.github_summary and not environment.get(GITHUB_SUMMARY):
        raise UsageError(f"--github-summary: {GITHUB_SUMMARY} is not set; outside GitHub give --summary FILE")
    if len({path.resolve() for path in outputs.files}) < len(outputs.files):
        raise UsageError("--junit, --sarif and --summary need a file each")
    for path in outputs.files:
        if not path.resolve().parent.is_dir() or path.is_dir():
            raise UsageError(f"{path} cannot be written: give a file in a folder that exists")
        path.unlink(missing_ok=True)


def write(gate: Gate, outputs: GateOutputs, spec: Path, environment: Mapping[str, str] = os.environ) -> None:
    """spec: the audit's file, which SARIF names. Raises OSError."""
    if outputs.junit is not None:
        outputs.junit.write_bytes(junit_xml(gate))
    if outputs.sarif is not None:
        outputs.sarif.write_bytes(sarif_json(gate, spec))
    if outputs.summary is not None:
        outputs.summary.write_text(markdown(gate), encoding="utf-8")
    if outputs.github_summary:
        with Path(environment[GITHUB_SUMMARY]).open("a", encoding="utf-8") as file:
            file.write(markdown(gate))
