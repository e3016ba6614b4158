"""Nobody is audited without somebody's word: the spec's `authorisation`, or an override that is recorded."""

from __future__ import annotations

from datetime import UTC, date, datetime

from pydantic import JsonValue

from distributed.storage.store import RunStore
from distributed.storage.trail import entries
from schemas.errors import AuthorisationError
from schemas.spec.audit import AuditSpec
from schemas.spec.protection import AuthorisationSpec

OVERRIDE = "--override-authorisation"
"""The option by which a person takes it on themselves."""


def permit(spec: AuditSpec, override: str | None = None) -> dict[str, JsonValue]:
    """What a trail keeps of who has allowed a run.

    Raises AuthorisationError unless the spec's authorisation is valid today or there is an override, and for
    a run past its day of retention.
    """
    today = datetime.now(UTC).date()
    require_retained(spec, today)
    problem = _problem(spec.authorisation, today)
    if problem and not override:
        raise AuthorisationError(f"{problem}, or give {OVERRIDE} with a reason, which is recorded")
    given = (
        None if spec.authorisation is None else spec.authorisation.model_dump(mode="json", exclude_none=True)
    )
    return {"authorisation": given, "override": f"{override} ({problem})" if problem else None}


def _problem(given: AuthorisationSpec | None, today: date) -> str | None:
    if given is None:
        return (
            "the spec has no authorisation: say who allows it to process real people's faces (purpose, "
            "legal_basis, controller, approver, expires)"
        )
    if given.expires < today:
        return f"the authorisation has expired on {given.expires}: have it renewed"
    return None


def require_retained(spec: AuditSpec, today: date | None = None) -> None:
    """Raise AuthorisationError for a run past its day of retention: it may only be purged."""
    until = spec.protection.retain_until
    if until is not None and until < (today or datetime.now(UTC).date()):
        raise AuthorisationError(
            f"the run was to be kept until {until} (protection.retain_until): `idleak purge {spec.output}`"
        )


def overrides(store: RunStore) -> list[str]:
    """The reasons for which a run went on without authorisation, the first one first, each once."""
    reasons = [str(entry.what["override"]) for entry in entries(store) if entry.what.get("override")]
    return list(dict.fromkeys(reasons))
