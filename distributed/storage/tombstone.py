"""What is left of a run that was purged: that it was, when, and by whom. No job makes it anew."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, ValidationError

from distributed.storage.store import RunStore
from schemas.errors import DamagedError, WrongRunError
from schemas.run.artefacts import LOCK_FILE, RECEIPTS_PREFIX, TOMBSTONE_FILE, TRAIL_PREFIX


class Tombstone(BaseModel):
    """files and bytes: how many were deleted. trail: sha256 of the last entry of the trail, then."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    run: str
    purged: str
    who: str
    files: int
    bytes: int
    trail: str


KEPT = (LOCK_FILE, TOMBSTONE_FILE, f"{TRAIL_PREFIX}/", f"{RECEIPTS_PREFIX}/")
"""What stays of a purged run: that it was, and what was done to it. Nothing of a person is in it."""


def left_of(store: RunStore) -> dict[str, int]:
    """The files of a run that a purge deletes, and their bytes; half written ones count as 0."""
    files = {path: size for path, size in store.sizes().items() if not path.startswith(KEPT)}
    return files | dict.fromkeys(store.leftovers(), 0)


def read_tombstone(store: RunStore) -> Tombstone | None:
    """None if the run was not purged. Raises DamagedError."""
    if not store.exists(TOMBSTONE_FILE):
        return None
    try:
        return Tombstone.model_validate_json(store.read(TOMBSTONE_FILE))
    except ValidationError as error:
        raise DamagedError(f"{store.location}/{TOMBSTONE_FILE} is damaged: purge the run again") from error


def require_not_purged(store: RunStore) -> None:
    """Raise WrongRunError if the run that was here has been purged."""
    if store.exists(TOMBSTONE_FILE):
        raise WrongRunError(
            f"the run in {store.location} was purged, as {TOMBSTONE_FILE} there says: give the spec another "
            "`output`"
        )
