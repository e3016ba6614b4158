"""Who is to be erased from a run, and what goes with them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from distributed.storage.erasures import erased_identities, require_not_purged
from distributed.storage.results_file import read_results
from distributed.storage.run_record import read_record
from distributed.storage.store import RunStore
from distributed.storage.vault import Vault
from schemas.errors import UsageError
from schemas.run.artefacts import DERIVED, ERASURES_FILE, GALLERY_FILE, NAMES_FILE, RESULTS_FILE

REWRITTEN = (GALLERY_FILE, NAMES_FILE, ERASURES_FILE)
PSEUDONYM = re.compile(r"[0-9a-f]{12,32}")
"""The whole of one, or its beginning, at least as much of it as reports show."""


@dataclass(frozen=True)
class PlannedErasure:
    """What goes with a person: their photos, counted, and files of the run; a ledger is a folder.

    matching: people of the gallery whose photos match theirs as those of one person do; these stay.
    """

    person: str
    photos: int
    matching: Sequence[str]
    deleted: Sequence[str]
    rewritten: Sequence[str]


def planned_erasure(store: RunStore, who: str) -> PlannedErasure:
    """What `erase` would do; changes nothing. Raises as `erase`."""
    require_not_purged(store)
    spec = read_record(store).spec
    vault = store.vault or Vault(spec.protection)
    person = pseudonym_of(who, store) or vault.identity_pseudonym(who)
    ledger = [] if spec.ledger is None else [spec.ledger]
    photos, matching = photos_of(store, person), people_matching(store, person)
    return PlannedErasure(person, len(photos), matching, list(derived(store)), [*REWRITTEN, *ledger])


def pseudonym_of(who: str, store: RunStore) -> str | None:
    """The one pseudonym that begins like this. Raises UsageError if several do; None if it is a name."""
    if not PSEUDONYM.fullmatch(who):
        return None
    known = {*store.read_table(GALLERY_FILE, ["identity"])["identity"].to_pylist(), *erased_identities(store)}
    matching = sorted(pseudonym for pseudonym in known if pseudonym.startswith(who))
    if len(matching) > 1:
        raise UsageError(f"{len(matching)} pseudonyms begin with {who}: give more of it")
    return matching[0] if matching else None


def photos_of(store: RunStore, person: str) -> list[str]:
    """The person's photos. Raises UsageError for a person who is not in the run and was not erased before."""
    table = store.read_table(GALLERY_FILE, ["identity", "photo"])
    rows = zip(table["identity"].to_pylist(), table["photo"].to_pylist(), strict=True)
    photos = [photo for name, photo in rows if name == person]
    if not photos and person not in erased_identities(store):
        raise UsageError(
            f"nobody in {store.location} has that name or pseudonym under its key: `idleak reveal` lists all"
        )
    return photos


def people_matching(store: RunStore, person: str) -> list[str]:
    """By the run's results; nobody where there are none."""
    overlap = read_results(store).overlap if store.exists(RESULTS_FILE) else None
    pairs = [] if overlap is None else [set(match.people) for match in overlap.matches.found]
    return sorted(set().union(*(pair for pair in pairs if person in pair)) - {person})


def derived(store: RunStore) -> dict[str, int]:
    return {path: size for path, size in store.sizes().items() if path.startswith(DERIVED)}
