"""What speaks for or against the assumptions of the verdicts, for `results.json`."""

from __future__ import annotations

from distributed.membership.assessment import PlaceboOutcome
from distributed.statistics.drift import WARN_BELOW, Drift
from distributed.statistics.people.roles import RoleTest
from schemas.run.checks import DriftResult, PlaceboResult, RoleTestResult
from schemas.spec.audit import AuditSpec

PLACEBO_LEVEL = 0.05


def roles_result(test: RoleTest | None) -> RoleTestResult | None:
    if test is None:
        return None
    return RoleTestResult(
        auc=test.auc, p_value=test.p_value, warns=test.p_value < WARN_BELOW, separators=dict(test.separators)
    )


def placebo_result(spec: AuditSpec, outcome: PlaceboOutcome | None) -> PlaceboResult | None:
    if outcome is None or spec.membership.placebo is None:
        return None
    return PlaceboResult(
        kind=outcome.kind,
        fingerprint_sha256=outcome.fingerprint,
        license=spec.membership.placebo.license or "not stated",
        samples=outcome.samples,
        set_p_value=outcome.set_p_value,
        flagged=list(outcome.flagged),
        warns=bool(outcome.flagged) or outcome.set_p_value <= PLACEBO_LEVEL,
    )


def drift_result(drift: Drift) -> DriftResult:
    return DriftResult(
        property=drift.what,
        candidates=drift.candidates,
        cohort=drift.cohort,
        p_value=drift.p_value,
        warns=drift.warns,
    )
