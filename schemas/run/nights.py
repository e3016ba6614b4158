"""What nightly audits keep: one record per night and key, the accepted night, and the report of a fleet."""

from __future__ import annotations

from datetime import date
from typing import Literal

from pydantic import Field

from schemas.frozen import Record
from schemas.run.tables import Verdict

RECORD_VERSION = 1

Outcome = Literal["audited", "skipped", "failed"]
Status = Literal["audited", "skipped", "failed", "done", "refused"]


class Share(Record):
    """`count` of `total`."""

    count: int
    total: int


class NightEvidence(Record):
    """What one key's samples show by one night, all samples of the version together."""

    night: date = Field(description="when it was audited")
    run: str = Field(description="the run, below the key's folder or prefix")
    version: str = Field(description="of the generator and all else that makes the samples")
    samples: int
    fresh: int = Field(description="how many of them this night added")
    fingerprint: dict[str, str] = Field(description="of the samples")
    verdict_fingerprint: dict[str, str]
    verdict_sha256: str
    with_template: Share
    with_face: Share | None = Field(description="null where samples get a fixed crop")
    verdicts: dict[Verdict, int] = Field(description="of this night alone, before the ledger")
    ledger: str = Field(description="below it, too, unless the spec names one")
    ledger_night: int
    flaggable_from: int | None = Field(
        description="so many candidates at once could be flagged on this night; null: none, as every night "
        "of the ledger asks more of the cohort"
    )
    findings: list[str] = Field(description="whom all nights of the ledger flag")


class Finding(Record):
    """Somebody who was found, on which night, and by how many samples."""

    identity: str
    night: date
    samples: int


class NightDrift(Record):
    """One property on the accepted night and tonight; `warns`: more apart than chance explains."""

    property: str
    accepted: float
    tonight: float
    p_value: float
    warns: bool


class Comparison(Record):
    """Tonight against the accepted night."""

    accepted: date | None
    new: list[Finding] = Field(description="found, and not accepted yet")
    known: list[Finding] = Field(description="found, and accepted")
    resolved: list[Finding] = Field(
        description="accepted, and by as many samples or more not detected any longer"
    )
    pending: list[Finding] = Field(description="accepted; the evidence is too little to tell yet")
    gone: list[Finding] = Field(description="accepted, and a candidate no longer")
    drift: list[NightDrift]


class Failure(Record):
    """Why a night failed. `detail` may name identities: it stays in this file."""

    kind: str
    exit_code: int
    detail: str


class NightRecord(Record):
    """`nights/<date>.json`. `changed`: fields of the fingerprints that are not those of the night before."""

    record_version: int = RECORD_VERSION
    key: str
    night: date
    outcome: Outcome
    started: str
    seconds: float
    missed: list[date] = Field(description="nights due since the last one on which nothing ran")
    changed: list[str] = Field(default_factory=list)
    evidence: NightEvidence | None = None
    comparison: Comparison | None = None
    accepted: bool = Field(False, description="it is the accepted night, having nothing new")
    failure: Failure | None = None


class Accepted(Record):
    """`accepted.json`: what later nights are compared with."""

    record_version: int = RECORD_VERSION
    by: Literal["a person", "nothing new"]
    on: date
    evidence: NightEvidence
    findings: list[Finding]


class Told(Record):
    """`told.json`: people who were reported to the hook, and whom nobody has accepted."""

    identities: list[str] = Field(default_factory=list)


class ReportEntry(Record):
    """One key in the report."""

    key: str
    status: Status
    open: list[str] = Field([], description="new findings that nobody has accepted")
    untold: list[str] = Field([], description="those of them that the hook has not been told of")
    message: str | None = Field(None, description="why it was refused")
    failure: Failure | None = Field(None, description="why it failed, where no record could be kept")
    record: NightRecord | None = None

    @property
    def cause(self) -> Failure | None:
        """Why it failed, wherever that is kept; None if it did not."""
        return self.failure if self.record is None else self.record.failure


class FleetReport(Record):
    """`nightly.json`."""

    report_version: int = RECORD_VERSION
    fleet: str
    night: date
    started: str
    seconds: float
    exit_code: int = Field(description="of the audits; the process ends with 1 if only its hook failed")
    audits: list[ReportEntry]
