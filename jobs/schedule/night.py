"""One night of one key: skip it, or audit it; compare it with the accepted night; keep its record."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

from distributed.statistics.calibration import flaggable_count
from distributed.statistics.spending import night_level
from distributed.storage.lock import run_lock
from distributed.storage.results_file import read_results
from distributed.storage.store import RunStore
from jobs.cli.exit_codes import ExitCode, code_of
from jobs.cli.runs import acting
from jobs.schedule.comparison import accept, compare, compare_findings, headline_scores, nameless
from jobs.schedule.plan import NightPlan, key_location, missed_nights, plan_night
from jobs.schedule.state import NightState
from schemas.errors import IdleakError, LockedError, StoppedError, WrongRunError, may_name_people
from schemas.fingerprint import Fingerprint
from schemas.run.nights import Comparison, Failure, NightEvidence, NightRecord, ReportEntry, Share
from schemas.run.results import AuditResults, SampleCounts
from schemas.run.tables import Outcome
from schemas.spec.audit import AuditSpec
from schemas.spec.fleet import Entry, Fleet

RunAudit = Callable[[AuditSpec, RunStore, Fingerprint], None]
"""Do what is not done yet of an audit in its store, with a gallery of this fingerprint."""


@dataclass(frozen=True)
class Night:
    """A key's night, under way: started at `start` of the monotonic clock."""

    fleet: Fleet
    entry: Entry
    night: date
    state: NightState
    started: str
    start: float

    def record(self, missed: list[date], **fields: object) -> NightRecord:
        seconds = round(time.monotonic() - self.start, 3)
        common = {"key": self.entry.key, "night": self.night, "missed": missed}
        return NightRecord.model_validate(common | {"started": self.started, "seconds": seconds} | fields)


def state_of(fleet: Fleet, entry: Entry) -> NightState:
    return NightState(key_location(fleet, entry))


def do_night(fleet: Fleet, entry: Entry, night: date, run_audit: RunAudit) -> ReportEntry:
    """Do what this night asks of the key, unless it has been done; a failed night is tried again.

    An error of the night is kept in its record, or in the entry if the state cannot be read or written.
    Raises StoppedError if the audit was told to stop; then there is no record, and the same command goes on.
    """
    state = state_of(fleet, entry)
    started = datetime.now(UTC).isoformat(timespec="seconds")
    try:
        with run_lock(state.store):
            done = state.record_of(night)
            if done is not None and done.outcome != "failed":
                return _reported(state, done, "done")
            record = _attempt(Night(fleet, entry, night, state, started, time.monotonic()), run_audit)
            state.write(record)
            return _reported(state, record, record.outcome)
    except LockedError as error:
        return ReportEntry(key=entry.key, status="refused", message=str(error))
    except StoppedError:
        raise
    # Whatever it is, it must not cost the other keys their night.
    except Exception as error:
        return ReportEntry(key=entry.key, status="failed", failure=failure_of(error))


def _reported(state: NightState, record: NightRecord, status: str) -> ReportEntry:
    """With those of its new findings that nobody has accepted, and whom the hook does not know of."""
    accepted = state.accepted()
    known = set() if accepted is None else {finding.identity for finding in accepted.findings}
    new = [] if record.comparison is None else [finding.identity for finding in record.comparison.new]
    unaccepted, hook_knows = [name for name in new if name not in known], state.notified()
    return ReportEntry.model_validate(
        {
            "key": record.key,
            "status": status,
            "open": unaccepted,
            "untold": [name for name in unaccepted if name not in hook_knows],
            "record": record,
        }
    )


def _attempt(night: Night, run_audit: RunAudit) -> NightRecord:
    missed: list[date] = []
    try:
        missed = missed_nights(night.fleet, night.state, night.night)
        plan = plan_night(night.fleet, night.entry, night.state)
        evidence = plan.unchanged()
        if evidence is not None:
            return _compared(night, "skipped", evidence, missed)
        evidence = _audited(night, plan, run_audit)
        return _compared(night, "audited", evidence, missed, plan.changed)
    except StoppedError:
        raise
    # Whatever it is, it must not cost the other keys their night.
    except Exception as error:
        return night.record(missed, outcome="failed", failure=failure_of(error))


def failure_of(error: Exception) -> Failure:
    """An expected error with its message, any other with its traceback."""
    expected = isinstance(error, IdleakError)
    code = code_of(error) if isinstance(error, IdleakError) else ExitCode.FAILED
    detail = str(error) if expected else "".join(traceback.format_exception(error))
    return Failure(kind=type(error).__name__, exit_code=code, detail=detail)


def failure_line(failure: Failure, path: str) -> str:
    """Why a night failed, without a name that a log must not hold. path: of the file that holds the rest."""
    if not may_name_people(failure.kind):
        return failure.detail
    return f"{failure.kind}: its `failure` in {path} says what to do"


def _audited(night: Night, plan: NightPlan, run_audit: RunAudit) -> NightEvidence:
    with acting("nightly", plan.spec, None) as store:
        run_audit(plan.spec, store, plan.gallery)
    evidence = _evidence(night, plan, read_results(store))
    night.state.write_scores(night.night, nameless(headline_scores(store)))
    return evidence


def _evidence(night: Night, plan: NightPlan, results: AuditResults) -> NightEvidence:
    ledger, power = results.ledger, results.power
    assert ledger is not None and plan.spec.ledger is not None, "every night has a ledger"
    return NightEvidence(
        night=night.night,
        run=night.state.relative(plan.spec.output),
        version=plan.version,
        samples=plan.spec.samples,
        fresh=plan.fresh,
        fingerprint=dict(plan.sampling.fields),
        verdict_fingerprint=dict(plan.verdict.fields),
        verdict_sha256=plan.verdict.digest,
        with_template=_share(results.samples, Outcome.OK),
        with_face=None
        if results.samples.detection_rate is None
        else _share(results.samples, Outcome.OK, Outcome.SEVERAL_FACES),
        verdicts=results.scores[results.headline].verdicts,
        ledger=night.state.relative(plan.spec.ledger),
        ledger_night=ledger.night,
        flaggable_from=flaggable_count(
            power.candidates, power.cohort, night_level(ledger.night, ledger.alpha)
        ),
        findings=ledger.flagged,
    )


def _share(samples: SampleCounts, *outcomes: Outcome) -> Share:
    return Share(count=sum(samples.outcomes.get(outcome, 0) for outcome in outcomes), total=samples.rows)


def _compared(
    night: Night, outcome: str, evidence: NightEvidence, missed: list[date], changed: Sequence[str] = ()
) -> NightRecord:
    """The night's record; with nothing new and no drift it becomes the accepted night."""
    accepted = night.state.accepted()
    comparison = compare(night.state, evidence, accepted)
    settled = not comparison.new and not any(drift.warns for drift in comparison.drift)
    if settled and (accepted is None or accepted.evidence != evidence):
        accept(night.state, evidence, comparison, "nothing new", night.night)
    fields = {"outcome": outcome, "changed": changed, "evidence": evidence, "comparison": comparison}
    return night.record(missed, **fields, accepted=settled)


def accept_last(fleet: Fleet, entry: Entry, on: date) -> tuple[NightEvidence, Comparison]:
    """A person accepts the key's last night that did not fail.

    Raises LockedError while a night is under way, WrongRunError if there is no night to accept.
    """
    state = state_of(fleet, entry)
    if state.evidence() is None:
        raise WrongRunError(f"{entry.key} has no night to accept: run `idleak nightly` first")
    with run_lock(state.store):
        evidence = state.evidence()
        assert evidence is not None, "nights are not taken away"
        comparison = compare_findings(evidence, state.accepted(), headline_scores(state.run_of(evidence)))
        accept(state, evidence, comparison, "a person", on)
    return evidence, comparison
