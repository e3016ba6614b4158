"""What a night's report says in a few lines, in which nobody is named: they end up in logs and mails."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from jobs.schedule.night import failure_line
from jobs.schedule.plan import key_location
from schemas.run.nights import Comparison, FleetReport, NightEvidence, NightRecord, ReportEntry
from schemas.run.tables import Verdict
from schemas.spec.fleet import Fleet


def summary(fleet: Fleet, report: FleetReport) -> list[str]:
    """The fleet's name and night, and for each key what became of it."""
    found = _findings(sum(len(one.open) for one in report.audits))
    lines = [f"{report.fleet}, night of {report.night}: {found}{_not_done(report.audits)}"]
    return lines + [line for one in report.audits for line in _entry_lines(fleet, one)]


def _not_done(audits: Sequence[ReportEntry]) -> str:
    """No finding of an audit that did not take place says nothing."""
    missing = sum(one.record is None or one.record.failure is not None for one in audits)
    return f"; {missing} of {len(audits)} audits failed or were refused" if missing else ""


def _findings(count: int) -> str:
    return "no new finding" if not count else f"{count} new finding{'s' if count > 1 else ''}"


def _entry_lines(fleet: Fleet, one: ReportEntry) -> Iterator[str]:
    location = key_location(fleet, fleet.entry(one.key))
    if one.record is None:
        yield f"{one.key}: refused: {one.message}"
        return
    record = one.record
    if record.missed:
        yield f"{one.key}: {_missed(record)}"
    if record.failure is not None:
        yield f"{one.key}: failed: {failure_line(record, location)}"
    elif record.evidence is not None and record.comparison is not None:
        result = _result(one, record.comparison) + _without_verdict(record.evidence)
        yield f"{one.key}: {_work(one, record, record.evidence)}; {result}"
        yield from (f"{one.key}: {line}" for line in _warnings(record, record.comparison))
        if one.open:
            path = f"{location}/nights/{record.night}.json"
            yield f"{one.key}: look into {path}, then `idleak nightly FLEET --accept {one.key}`"


def _missed(record: NightRecord) -> str:
    first, last, count = record.missed[0], record.missed[-1], len(record.missed)
    if count == 1:
        return f"the night of {first} was missed"
    return f"{count} nights were missed, {first} to {last}; they are not made up for"


def _work(one: ReportEntry, record: NightRecord, evidence: NightEvidence) -> str:
    if one.status == "done":
        return f"this night was {record.outcome} already"
    if record.outcome == "skipped":
        return f"skipped, as nothing has changed since {evidence.night}"
    changed = f", changed: {', '.join(record.changed)}" if record.changed else ""
    return f"audited, {evidence.samples:,} samples, {evidence.fresh:,} of them fresh{changed}"


def _result(one: ReportEntry, comparison: Comparison) -> str:
    parts = [_findings(len(one.open)), f"{len(comparison.known)} known"]
    for name, told in (("resolved", "not detected any longer"), ("pending", "pending"), ("gone", "gone")):
        if found := getattr(comparison, name):
            parts.append(f"{len(found)} {told}")
    return ", ".join(parts)


def _without_verdict(evidence: NightEvidence) -> str:
    missing, total = evidence.verdicts.get(Verdict.INCONCLUSIVE, 0), sum(evidence.verdicts.values())
    return f"; no verdict on {missing:,} of {total:,} by this night alone" if missing else ""


def _warnings(record: NightRecord, comparison: Comparison) -> Iterator[str]:
    for one in comparison.drift:
        if one.warns:
            yield (
                f"warning: {one.property} drifted since {comparison.accepted}, from {one.accepted:.3g} to "
                f"{one.tonight:.3g}, p {one.p_value:.2g}"
            )
    if record.outcome == "audited" and record.evidence and record.evidence.flaggable_from is None:
        yield (
            f"warning: on night {record.evidence.ledger_night} of its ledger the cohort is too small to flag "
            "anybody who was not flagged before: enlarge it, or start over with another `version`"
        )
