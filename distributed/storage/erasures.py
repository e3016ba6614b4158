"""Who was erased from a run: their pseudonyms, which enrolment and resuming honour."""

from __future__ import annotations

from datetime import UTC, datetime

from pydantic import BaseModel, ConfigDict, ValidationError

from distributed.storage.store import RunStore
from schemas.errors import DamagedError
from schemas.run.artefacts import ERASURES_FILE


class Erasure(BaseModel):
    """One person, by pseudonym, and when."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    identity: str
    erased: str


class Erasures(BaseModel):
    """All people who were erased from a run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    people: tuple[Erasure, ...] = ()


def erased_identities(store: RunStore) -> frozenset[str]:
    """The pseudonyms of all people who were erased from the run."""
    return frozenset(one.identity for one in _read(store).people)


def record_erasure(store: RunStore, identity: str) -> None:
    """Keep that this person must not be enrolled again."""
    known = _read(store).people
    if identity not in {one.identity for one in known}:
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
