"""Look into a finished run: not past its day, and never unseen."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager

from distributed.gallery.names import read_names
from distributed.stages.authorise import require_retained
from distributed.storage.run_record import read_record
from distributed.storage.store import RunStore
from distributed.storage.tombstone import require_not_purged
from distributed.storage.trail import record
from jobs.cli.command import existing_run
from jobs.cli.display import Shown, as_stored, with_names
from schemas.errors import SpecError
from schemas.run.artefacts import RECORD_FILE


def add_reveal(parser: argparse.ArgumentParser) -> None:
    """The option by which people are shown by name."""
    parser.add_argument(
        "--reveal",
        action="store_true",
        help="show people by name; needs the key, and the run's trail keeps it",
    )


def open_to_read(
    location: str, action: str, *, reveal: bool = False, **what: object
) -> tuple[RunStore, Shown]:
    """A run's files, and how its people are shown. The act is in the run's trail from here on.

    Raises SpecError if there is no run, WrongRunError if it was purged, AuthorisationError past its day of
    retention, SpecError without its key where names are wanted.
    """
    store = existing_run(location)
    require_not_purged(store)
    if not store.exists(RECORD_FILE):
        raise SpecError(
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
