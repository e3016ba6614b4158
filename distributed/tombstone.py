"""What is left of a run that was purged: that it was, when, and by whom. No job makes it anew."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from distributed.store import RunStore
from schemas.errors import WrongRunError
from schemas.layout import TOMBSTONE_FILE


class Tombstone(BaseModel):
    """files and bytes: how many were deleted. trail: sha256 of the last entry of the trail, then."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    run: str
    purged: str
    who: str
    files: int
    bytes: int
    trail: str


def require_not_purged(store: RunStore) -> None:
    """Raise WrongRunError if the run that was here has been purged."""
    if store.exists(TOMBSTONE_FILE):
        raise WrongRunError(
            f"the run in {store.location} was purged, as {TOMBSTONE_FILE} there says: give the spec another "
            "`output`"
        )
