"""An audit as a night of its spec's ledger."""

from __future__ import annotations

from distributed.embedding.fingerprint import recognizer_fields
from distributed.membership.assessment import Assessment
from distributed.membership.evidence import combined_score
from distributed.runtime.versions import VERDICT_VERSION
from distributed.storage.ledger import Pinned, enter_night, flagged_by
from distributed.storage.lock import run_lock
from distributed.storage.store import RunStore
from schemas.run.results import LedgerResult
from schemas.spec.audit import AuditSpec


def pinned_settings(spec: AuditSpec) -> Pinned:
    """What an audit must share with the other nights of its ledger: all that decides the headline's verdicts
    but the generator, how many samples, and the people."""
    membership = spec.membership.model_dump(exclude={"reference", "placebo", "fdr", "scores"})
    settings = {f"membership.{name}": repr(value) for name, value in membership.items()}
    settings |= recognizer_fields(spec.faces) | {"version.verdict": VERDICT_VERSION}
    headline = f"{combined_score(spec.membership.scores)} of {spec.faces.recognizers[0].name}"
    return Pinned(spec.membership.fdr, headline, settings)


def require_same_ledger(spec: AuditSpec) -> None:
    """Raise WrongRunError, before the long work, if the spec's ledger was begun with other settings."""
    if spec.ledger is not None:
        pinned_settings(spec).ledger(RunStore(spec.ledger))


def enter_audit(spec: AuditSpec, assessment: Assessment, fingerprint: str) -> LedgerResult | None:
    """Enter this audit in the spec's ledger, if it has one. fingerprint: the digest of its verdicts'."""
    if spec.ledger is None:
        return None
    store = RunStore(spec.ledger)
    names = [assessment.gallery.names[index] for index in assessment.frame.candidates]
    p = assessment.judgements[0].calibrated.p_value
    with run_lock(store):
        night, ledger = enter_night(store, fingerprint, names, p, pinned_settings(spec))
    return LedgerResult(night=night, alpha=ledger.alpha, flagged=flagged_by(ledger, names))
