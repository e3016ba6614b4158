"""Who was erased from a run: their pseudonyms, which enrolment and resuming honour."""

from __future__ import annotations

from datetime import UTC, datetime

from pydantic import ValidationError

from distributed.storage.store import RunStore
from schemas.errors import DamagedError
from schemas.run.artefacts import ERASURES_FILE
from schemas.run.erasures import Erasure, Erasures


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
    try:
        return Erasures.model_validate_json(store.read(ERASURES_FILE))
    except ValidationError as error:
        raise DamagedError(f"{store.location}/{ERASURES_FILE} is damaged: restore it from a copy") from error
