"""What a night's report says in a few lines, in which nobody is named: they end up in logs and mails."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from jobs.schedule.night import failure_line
from jobs.schedule.plan import key_location
from jobs.schedule.state import REPORT_FILE
from schemas.run.nights import Comparison, FleetReport, NightEvidence, NightRecord, ReportEntry
from schemas.run.tables import Verdict
from schemas.spec.fleet import Fleet


def summary(fleet: Fleet, report: FleetReport) -> list[str]:
    """The fleet's name and night, and for each key what became of it."""
    findings = _findings(sum(len(audit.open) for audit in report.audits))
    lines = [f"{report.fleet}, night of {report.night}: {findings}{_not_done(report.audits)}"]
    return lines + [line for audit in report.audits for line in _entry_lines(fleet, audit)]


def _not_done(audits: Sequence[ReportEntry]) -> str:
    """No finding of an audit that did not take place says nothing."""
    missing = sum(audit.record is None or audit.cause is not None for audit in audits)
    return f"; {missing} of {len(audits)} audits failed or were refused" if missing else ""


def _findings(count: int) -> str:
    return "no new finding" if not count else f"{count} new finding{'s' if count > 1 else ''}"


def _entry_lines(fleet: Fleet, entry: ReportEntry) -> Iterator[str]:
    location = key_location(fleet, fleet.entry(entry.key))
    if entry.record is None:
        yield f"{entry.key}: {_not_begun(fleet, entry)}"
        return
    record = entry.record
    if record.missed:
        yield f"{entry.key}: {_missed(record)}"
    if record.failure is not None:
        path = f"{location}/nights/{record.night}.json"
        yield f"{entry.key}: failed: {failure_line(record.failure, path)}"
    elif record.evidence is not None and record.comparison is not None:
        result = _result(entry, record.comparison) + _without_verdict(record.evidence)
        yield f"{entry.key}: {_work(entry, record, record.evidence)}; {result}"
        yield from (f"{entry.key}: {line}" for line in _warnings(record, record.comparison))
        if entry.open:
            path = f"{location}/nights/{record.night}.json"
            yield f"{entry.key}: look into {path}, then `idleak nightly FLEET --accept {entry.key}`"


def _not_begun(fleet: Fleet, entry: ReportEntry) -> str:
    if entry.failure is None:
        return f"refused: {entry.message}"
    return f"failed: {failure_line(entry.failure, f'{fleet.state}/{REPORT_FILE}')}"


def _missed(record: NightRecord) -> str:
    first, last, count = record.missed[0], record.missed[-1], len(record.missed)
    if count == 1:
        return f"the night of {first} was missed"
    return f"{count:,} nights were missed, {first} to {last}; they are not made up for"


def _work(entry: ReportEntry, record: NightRecord, evidence: NightEvidence) -> str:
    if entry.status == "done":
        return f"this night was {record.outcome} already"
    if record.outcome == "skipped":
        return f"skipped, as nothing has changed since {evidence.night}"
    changed = f", changed: {', '.join(record.changed)}" if record.changed else ""
    return f"audited, {evidence.samples:,} samples, {evidence.fresh:,} of them fresh{changed}"


def _result(entry: ReportEntry, comparison: Comparison) -> str:
    parts = [_findings(len(entry.open)), f"{len(comparison.known)} known"]
    for name, wording in (("resolved", "not detected any longer"), ("pending", "pending"), ("gone", "gone")):
        if findings := getattr(comparison, name):
            parts.append(f"{len(findings)} {wording}")
    return ", ".join(parts)


def _without_verdict(evidence: NightEvidence) -> str:
    missing, total = evidence.verdicts.get(Verdict.INCONCLUSIVE, 0), sum(evidence.verdicts.values())
    return f"; no verdict on {missing:,} of {total:,} by this night alone" if missing else ""


def _warnings(record: NightRecord, comparison: Comparison) -> Iterator[str]:
    for drift in comparison.drift:
        if drift.warns:
            yield (
                f"warning: {drift.property} drifted since {comparison.accepted}, from {drift.accepted:.3g} "
                f"to {drift.tonight:.3g}, p {drift.p_value:.2g}"
            )
    if record.outcome == "audited" and record.evidence and record.evidence.flaggable_from is None:
        yield (
            f"warning: on night {record.evidence.ledger_night} of its ledger the cohort is too small to flag "
            "anybody who was not flagged before: enlarge it, or start over with another `version`"
        )
