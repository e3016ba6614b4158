"""The run that a command works on, or looks into: not past its day, and never unseen."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from distributed.gallery.names import read_names
from distributed.storage.authorisation import permit, require_retained
from distributed.storage.erasures import require_not_purged
from distributed.storage.lock import run_lock
from distributed.storage.run_record import read_record
from distributed.storage.store import RunStore, open_run, under_key
from distributed.storage.trail import record
from jobs.cli.display import Shown, as_stored, with_names
from schemas.errors import SpecError, UsageError
from schemas.run.artefacts import RECORD_FILE
from schemas.spec.audit import AuditSpec
from schemas.spec.locations import is_remote


@contextmanager
def acting(action: str, spec: AuditSpec, override: str | None) -> Iterator[RunStore]:
    """The files of a spec's run, to work on by somebody's word, alone, and recorded in the run's trail.

    Raises AuthorisationError before anything is made or read.
    """
    permission = permit(spec, override)
    store = open_run(spec)
    require_not_purged(store)
    with run_lock(store):
        record(store, action, **permission, samples=spec.samples)
        yield store


def existing_run(location: str) -> RunStore:
    """The run at a folder or bucket address, under the key that its record names.

    Raises UsageError if there is no such folder.
    """
    if not is_remote(location) and not Path(location).is_dir():
        raise UsageError(f"{location} is not a folder; give the `output` of a spec")
    store = RunStore(location)
    if not store.exists(RECORD_FILE):
        return store
    return under_key(store, read_record(store).spec)


def open_to_read(
    location: str, action: str, *, reveal: bool = False, **what: object
) -> tuple[RunStore, Shown]:
    """A run's files, and how its people are shown. The act is in the run's trail from here on.

    Raises UsageError if there is no run, WrongRunError if it was purged, AuthorisationError past its day of
    retention, UsageError without its key where names are wanted.
    """
    store = existing_run(location)
    require_not_purged(store)
    if not store.exists(RECORD_FILE):
        raise UsageError(
            f"{location} holds no run: give a spec's `output`, and run `idleak audit` to its end first"
        )
    require_retained(read_record(store).spec)
    shown = shown_by_name(store) if reveal else as_stored
    record(store, action, revealed=reveal, **what)
    return store, shown


@contextmanager
def naming_people(store: RunStore) -> Iterator[None]:
    """Name the people in an error's message, where the run knows their names. The run's trail keeps it."""
    record(store, "reveal", revealed=True, pseudonyms="all")
    try:
        yield
    except SpecError as error:
        raise type(error)(with_names(str(error), shown_by_name(store))) from error


def shown_by_name(store: RunStore) -> Shown:
    """People and photos from the sealed map; what it does not name keeps the pseudonym."""
    assert store.vault is not None, "a run with a record has a key"
    names = read_names(store, store.vault)
    known = {**names.photos, **names.identities}
    return lambda pseudonym: known.get(pseudonym, pseudonym)
