"""Erase a whole run but its audit log, with a receipt and a tombstone, so that nothing makes it anew."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from distributed.storage.erasures import left_of, write_receipt
from distributed.storage.lock import run_lock
from distributed.storage.run_record import read_record
from distributed.storage.store import RunStore
from distributed.storage.trail import actor, head, record
from schemas.errors import StoreError, UsageError
from schemas.run.artefacts import RECORD_FILE, TOMBSTONE_FILE
from schemas.run.erasures import Tombstone


@dataclass(frozen=True)
class Purge:
    """How many files and bytes were deleted, and the path of the receipt."""

    files: int
    bytes: int
    receipt: str


def planned_purge(store: RunStore) -> dict[str, int]:
    """The files that `purge` would delete, and their bytes. Raises UsageError if there is no run, nor what is
    left of one."""
    if not store.exists(RECORD_FILE) and not store.exists(TOMBSTONE_FILE):
        raise UsageError(f"{store.location} holds no run: give the `output` of a spec")
    return left_of(store)


def is_due(store: RunStore, today: date) -> bool:
    """Whether the run's day of retention is past. Raises UsageError if it has none."""
    if not store.exists(RECORD_FILE):
        return True
    until = read_record(store).spec.protection.retain_until
    if until is None:
        raise UsageError(f"{store.location} has no protection.retain_until: purge it without --if-due")
    return until < today


def purge(store: RunStore, copy: Path | None = None) -> Purge:
    """Delete all of a run but its audit log, with a tombstone first. copy: where else the receipt is put.

    Raises StoreError if files are left.
    """
    with run_lock(store):
        deleted = left_of(store)
        store.require_inside(*deleted)
        if not store.exists(TOMBSTONE_FILE):
            store.write(TOMBSTONE_FILE, _tombstone(store, deleted))
        for path in deleted:
            store.delete(path)
        store.drop_empty_folders()
        # The key may be gone already, and that is no reason to keep what it protected.
        keyless = RunStore(store.location)
        record(keyless, "purged", deleted=sorted(deleted), bytes=sum(deleted.values()))
        receipt = write_receipt(keyless, None, deleted, [], copy)
    if left := left_of(store):
        raise StoreError(f"{len(left)} files of {store.location} are still there: purge it again")
    return Purge(len(deleted), sum(deleted.values()), receipt)


def _tombstone(store: RunStore, deleted: dict[str, int]) -> bytes:
    stone = Tombstone(
        run=store.location,
        purged=datetime.now(UTC).isoformat(timespec="seconds"),
        who=actor(),
        files=len(deleted),
        bytes=sum(deleted.values()),
        trail=head(store),
    )
    return (stone.model_dump_json(indent=2) + "\n").encode()
