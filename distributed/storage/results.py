"""`results.json`, read back."""

from __future__ import annotations

from pydantic import ValidationError

from distributed.storage.store import RunStore
from schemas.errors import DamagedError
from schemas.run.artefacts import RESULTS_FILE
from schemas.run.results import AuditResults


def read_results(store: RunStore) -> AuditResults:
    """`results.json`. Raises DamagedError if it does not fit its model."""
    try:
        return AuditResults.model_validate_json(store.read(RESULTS_FILE))
    except ValidationError as error:
        raise DamagedError(
            f"{store.location}/{RESULTS_FILE} is damaged, or of another version of idleak: delete it, then "
            "run `idleak reduce` again"
        ) from error
