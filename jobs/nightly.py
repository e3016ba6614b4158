"""`idleak nightly FLEET`: audit what has changed or has to grow, and tell what is new."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from distributed.execution.stopping import stop_requested
from distributed.storage.store import RunStore
from jobs.cli.arguments import FILE, StrictCommand, require_at_most_one
from jobs.cli.exit_codes import ExitCode
from jobs.cli.say import print_error, say, say_next
from jobs.cli.work import ray_executor, watching
from jobs.schedule.hook import require_hook, tell_hook
from jobs.schedule.night import accept_last, do_night
from jobs.schedule.state import REPORT_FILE
from jobs.schedule.summary import summary
from schemas.errors import StoppedError
from schemas.fingerprint import Fingerprint
from schemas.run.nights import FleetReport, ReportEntry
from schemas.spec.audit import AuditSpec
from schemas.spec.fleet import Entry, Fleet, load_fleet

if TYPE_CHECKING:
    from distributed.execution.cluster import RayExecutor

SUMMARY_FILE = "summary.txt"
AFTER_A_NIGHT = {
    ExitCode.OK: "idleak nightly {path} again on the next night, by a scheduler: docs/nightly.md",
    ExitCode.NEW_FINDINGS: "look into what is new; idleak nightly {path} --accept KEY makes it known",
    ExitCode.REFUSED: "idleak nightly {path} again, once the other process has ended",
}
WHERE_IT_FAILED = "put right what failed; idleak nightly {path} then does what is not done yet"


@click.command("nightly", cls=StrictCommand, help=__doc__)
@click.argument("fleet", type=FILE, metavar="FLEET", help="the fleet's YAML file: docs/nightly.md")
@click.option("--only", metavar="KEY", help="this audit of the fleet alone")
@click.option("--dry-run", is_flag=True, help="what would run, and what it costs; writes nothing")
@click.option("--accept", metavar="KEY", help="compare later nights with the last one of this audit")
def command(fleet: Path, *, only: str | None, dry_run: bool, accept: str | None) -> ExitCode:
    require_at_most_one({"--dry-run": dry_run, "--accept": accept})
    whole, tonight = load_fleet(fleet), datetime.now(UTC).date()
    audited = whole if only is None else whole.only(only)
    if accept is not None:
        code, step = accept_night(audited, accept, tonight), f"idleak nightly {fleet} tells what is new since"
    elif dry_run:
        # Torch and onnxruntime, which a night that skips all does not need.
        from jobs.schedule.forecast import forecast

        code, step = forecast(audited, tonight), f"idleak nightly {fleet} does it"
    else:
        code = run_fleet(audited, tonight)
        step = AFTER_A_NIGHT.get(code, WHERE_IT_FAILED).format(path=fleet)
    say_next(step)
    return code


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
        entries = [_do_night(fleet, entry, tonight, auditor) for entry in fleet.entries]
    report = FleetReport(
        fleet=fleet.name,
        night=tonight,
        started=started,
        seconds=round(time.monotonic() - start, 3),
        exit_code=exit_code(entries),
        audits=entries,
    )
    return _published(fleet, report)


def _do_night(fleet: Fleet, entry: Entry, tonight: date, auditor: Auditor) -> ReportEntry:
    if stop_requested():
        raise StoppedError(f"stopped before {entry.key}: run the same command to go on")
    return do_night(fleet, entry, tonight, auditor.audit)


class Auditor:
    """Carries out audits, on a Ray that is joined or started for the first of them."""

    def __init__(self, stack: ExitStack) -> None:
        """stack: ends Ray, if it was started here."""
        self._stack = stack
        self._executor: RayExecutor | None = None

    def audit(self, spec: AuditSpec, store: RunStore, gallery: Fingerprint) -> None:
        """Raises what `whole_audit.audit` raises. Refused photos are counted in `results.json`, not told."""
        # A night that skips all needs no Ray, no models and no FAISS.
        from distributed.gallery.enrolled import drop_other_gallery
        from distributed.stages.audit import audit

        if self._executor is None:
            self._executor = self._stack.enter_context(ray_executor())
        drop_other_gallery(store, gallery)
        audit(spec, store, self._executor, watching(store, spec), lambda gallery: None)


def exit_code(entries: Sequence[ReportEntry]) -> ExitCode:
    """That of the first night that failed; else REFUSED, if one is under way elsewhere; else NEW_FINDINGS."""
    failures = [entry.cause for entry in entries if entry.cause is not None]
    if failures:
        return ExitCode(failures[0].exit_code)
    if any(entry.status == "refused" for entry in entries):
        return ExitCode.REFUSED
    return ExitCode.NEW_FINDINGS if any(entry.open for entry in entries) else ExitCode.OK


def _published(fleet: Fleet, report: FleetReport) -> ExitCode:
    """Write and print the report. The process that is at work on all of the fleet reports it itself."""
    lines = summary(fleet, report)
    say(*lines)
    if all(audit.status == "refused" for audit in report.audits):
        return ExitCode(report.exit_code)
    store = RunStore(fleet.state)
    content = (report.model_dump_json(indent=2) + "\n").encode()
    store.write(REPORT_FILE, content)
    store.write(SUMMARY_FILE, ("\n".join(lines) + "\n").encode())
    problem = tell_hook(fleet, report, f"{fleet.state}/{REPORT_FILE}", content)
    if problem is not None:
        print_error(f"idleak: {problem}")
        return ExitCode(report.exit_code) if report.exit_code not in (0, 6) else ExitCode.FAILED
    return ExitCode(report.exit_code)
