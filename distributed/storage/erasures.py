"""What was erased of a run: people, whom enrolment and resuming leave out, or all of it; and receipts."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from distributed.storage.store import RunStore
from distributed.storage.store_faults import store_error
from distributed.storage.trail import actor, head
from schemas.errors import WrongRunError
from schemas.run.artefacts import ERASURES_FILE, KEPT_AFTER_PURGE, RECEIPTS_PREFIX, TOMBSTONE_FILE
from schemas.run.erasures import Erasure, Erasures, Receipt, Tombstone


def erased_identities(store: RunStore) -> frozenset[str]:
    """The pseudonyms of all people who were erased from the run."""
    return frozenset(person.identity for person in _read(store).people)


def record_erasure(store: RunStore, identity: str) -> None:
    """Keep that this person must not be enrolled again."""
    known = _read(store).people
    if identity not in {erasure.identity for erasure in known}:
        when = datetime.now(UTC).isoformat(timespec="seconds")
        people = Erasures(people=(*known, Erasure(identity=identity, erased=when)))
        store.write(ERASURES_FILE, (people.model_dump_json(indent=2) + "\n").encode())


def _read(store: RunStore) -> Erasures:
    if not store.exists(ERASURES_FILE):
        return Erasures()
    return store.read_model(Erasures, ERASURES_FILE, "is damaged: restore it from a copy")


def left_of(store: RunStore) -> dict[str, int]:
    """The files of a run that a purge deletes, and their bytes; half written ones count as 0."""
    files = {path: size for path, size in store.sizes().items() if not path.startswith(KEPT_AFTER_PURGE)}
    return files | dict.fromkeys(store.leftovers(), 0)


def read_tombstone(store: RunStore) -> Tombstone | None:
    """None if the run was not purged. Raises DamagedError."""
    if not store.exists(TOMBSTONE_FILE):
        return None
    return store.read_model(Tombstone, TOMBSTONE_FILE, "is damaged: purge the run again")


def require_not_purged(store: RunStore) -> None:
    """Raise WrongRunError if the run that was here has been purged."""
    if store.exists(TOMBSTONE_FILE):
        raise WrongRunError(
            f"the run in {store.location} was purged, as {TOMBSTONE_FILE} there says: give the spec another "
            "`output`"
        )


def write_receipt(
    store: RunStore,
    identity: str | None,
    deleted: dict[str, int],
    rewritten: list[str],
    copy: Path | None,
) -> str:
    """The path of the receipt in the run. copy: where else it is put. Raises StoreError."""
    when = datetime.now(UTC).isoformat(timespec="microseconds")
    receipt = Receipt(
        run=store.location,
        when=when,
        who=actor(),
        identity=identity,
        deleted=deleted,
        rewritten=rewritten,
        trail=head(store),
    )
    if store.vault is not None:
        receipt = receipt.model_copy(update={"signature": store.vault.signature(receipt.unsigned)})
    content = (receipt.model_dump_json(indent=2) + "\n").encode()
    path = f"{RECEIPTS_PREFIX}/{when.replace(':', '')}.json"
    store.write(path, content)
    if copy is not None:
        try:
            copy.write_bytes(content)
        except OSError as error:
            raise store_error("write", str(copy), error, f"it is in the run as {path}") from error
    return path
