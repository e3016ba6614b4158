"""`idleak nightly FLEET`: audit what has changed or has to grow, and tell what is new."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from distributed.storage.store import RunStore
from jobs.cli.command import guarded
from jobs.cli.exit_codes import ExitCode
from jobs.cli.say import complain, say
from jobs.schedule.hook import require_hook, tell_hook
from jobs.schedule.night import accept_last, do_night
from jobs.schedule.summary import summary
from schemas.fingerprint import Fingerprint
from schemas.run.nights import FleetReport, ReportEntry
from schemas.spec.audit import AuditSpec
from schemas.spec.fleet import Fleet, load_fleet

if TYPE_CHECKING:
    from distributed.execution.cluster import Cluster

REPORT_FILE = "nightly.json"
SUMMARY_FILE = "summary.txt"


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="idleak nightly", description=__doc__)
    parser.add_argument("fleet", type=Path, metavar="FLEET", help="the fleet's YAML file: docs/nightly.md")
    parser.add_argument("--only", metavar="KEY", help="this audit of the fleet alone")
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--dry-run", action="store_true", help="what would run, and what it costs; writes nothing"
    )
    what.add_argument("--accept", metavar="KEY", help="compare later nights with the last one of this audit")
    chosen = parser.parse_args(argv)
    tonight = datetime.now(UTC).date()
    return guarded(lambda: _chosen_job(chosen, _narrowed(load_fleet(chosen.fleet), chosen.only), tonight))


def _narrowed(fleet: Fleet, only: str | None) -> Fleet:
    return fleet if only is None else fleet.only(only)


def _chosen_job(chosen: argparse.Namespace, fleet: Fleet, tonight: date) -> ExitCode:
    if chosen.accept is not None:
        return accept_night(fleet, chosen.accept, tonight)
    if chosen.dry_run:
        # Torch and onnxruntime, which a night that skips all does not need.
        from jobs.schedule.forecast import forecast

        return forecast(fleet, tonight)
    return run_fleet(fleet, tonight)


def accept_night(fleet: Fleet, key: str, tonight: date) -> ExitCode:
    """Make the last night of a key the one that later ones are compared with. Raises as `accept_last`."""
    evidence, comparison = accept_last(fleet, fleet.entry(key), tonight)
    say(
        f"{key}: the night of {evidence.night} is accepted, {len(evidence.findings)} findings, "
        f"{len(comparison.new)} of them new"
    )
    return ExitCode.OK


def run_fleet(fleet: Fleet, tonight: date) -> ExitCode:
    """Do tonight's audits one after another, report them, and tell the hook of what it does not know yet."""
    require_hook(fleet)
    started, start = datetime.now(UTC).isoformat(timespec="seconds"), time.monotonic()
    with ExitStack() as stack:
        auditor = Auditor(stack)
        entries = [do_night(fleet, one, tonight, auditor.audit) for one in fleet.entries]
    report = FleetReport(
        fleet=fleet.name,
        night=tonight,
        started=started,
        seconds=round(time.monotonic() - start, 3),
        exit_code=exit_code(entries),
        audits=entries,
    )
    return _published(fleet, report)


class Auditor:
    """Carries out audits, on a Ray that is joined or started for the first of them."""

    def __init__(self, stack: ExitStack) -> None:
        """stack: ends Ray, if it was started here."""
        self._stack = stack
        self._cluster: Cluster | None = None

    def audit(self, spec: AuditSpec, store: RunStore, gallery: Fingerprint) -> None:
        """Raises what `whole_audit.audit` raises. Refused photos are counted in `results.json`, not told."""
        # A night that skips all needs no Ray, no models and no FAISS.
        from distributed.execution.cluster import Cluster
        from distributed.stages.audit import audit
        from distributed.stages.enroll import drop_other_gallery

        if self._cluster is None:
            self._cluster = self._stack.enter_context(Cluster())
        drop_other_gallery(store, gallery)
        audit(spec, store, self._cluster, lambda lines: None)


def exit_code(entries: Sequence[ReportEntry]) -> ExitCode:
    """That of the first night that failed; else REFUSED, if one is under way elsewhere; else NEW_FINDINGS."""
    failures = [one.record.failure for one in entries if one.record is not None and one.record.failure]
    if failures:
        return ExitCode(failures[0].exit_code)
    if any(one.status == "refused" for one in entries):
        return ExitCode.REFUSED
    return ExitCode.NEW_FINDINGS if any(one.open for one in entries) else ExitCode.OK


def _published(fleet: Fleet, report: FleetReport) -> ExitCode:
    """Write and print the report. The process that is at work on all of the fleet reports it itself."""
    lines = summary(fleet, report)
    say(*lines)
    if all(one.status == "refused" for one in report.audits):
        return ExitCode(report.exit_code)
    store = RunStore(fleet.state)
    told = (report.model_dump_json(indent=2) + "\n").encode()
    store.write(REPORT_FILE, told)
    store.write(SUMMARY_FILE, ("\n".join(lines) + "\n").encode())
    problem = tell_hook(fleet, report, f"{fleet.state}/{REPORT_FILE}", told)
    if problem is not None:
        complain(f"idleak: {problem}")
        return ExitCode(report.exit_code) if report.exit_code not in (0, 6) else ExitCode.FAILED
    return ExitCode(report.exit_code)
