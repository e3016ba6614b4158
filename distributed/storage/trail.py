"""A run's audit trail: who ran, read, revealed and purged what. Entries are added and never changed.

Each entry is a file of its own, put there only if nothing else is; it holds the sha256 of the one before it
and, where the key is at hand, an HMAC that only the holder of the key can make. So an entry cannot be
changed, taken out or put between others unseen. That the last ones are missing shows only against a head that
was noted elsewhere: `idleak verify` prints it, and receipts of a purge hold it.
"""

from __future__ import annotations

import getpass
import hashlib
import os
import socket
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from pydantic import ValidationError

from distributed.storage.store import RunStore
from distributed.storage.vault import Vault
from schemas.errors import StoreError, WrongRunError
from schemas.run.artefacts import TRAIL_PREFIX, TRANSIENT
from schemas.run.trail import TrailEntry

ATTEMPTS = 20


def record(store: RunStore, action: str, **what: object) -> None:
    """Add an entry. what: values as JSON has them; people of the gallery are named by pseudonym alone.

    Raises WrongRunError for a run of another key, StoreError if others keep adding entries at the same time,
    or nothing can be written there.
    """
    for _ in range(ATTEMPTS):
        paths = list(store.sizes(TRAIL_PREFIX))
        last = store.read(paths[-1]) if paths else b""
        _require_same_key(store, last)
        before = _digest(last) if paths else ""
        number = int(paths[-1].split("/")[-1].removesuffix(".json")) + 1 if paths else 1
        when = datetime.now(UTC).isoformat(timespec="seconds")
        fields = {"number": number, "when": when, "who": actor(), "action": action, "before": before}
        entry = TrailEntry.model_validate({**fields, "what": _writable(what)})
        if store.create(_path(number), (_signed(entry, store.vault).model_dump_json() + "\n").encode()):
            return
    raise StoreError(f"cannot add to the trail of {store.location}: others write to it; try again")


def _writable(value: object) -> object:
    """The same with bytes that are not UTF-8, which arguments may hold and JSON cannot, escaped."""
    if isinstance(value, str):
        return _escaped(value)
    if isinstance(value, Mapping):
        return {_writable(key): _writable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_writable(item) for item in value]
    return value


def _escaped(text: str) -> str:
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _signed(entry: TrailEntry, vault: Vault | None) -> TrailEntry:
    """With the HMAC of all else that it says; without a key as it is."""
    if vault is None:
        return entry
    return entry.model_copy(update={"signature": vault.signature(entry.unsigned)})


def _require_same_key(store: RunStore, last: bytes) -> None:
    """Raise WrongRunError if another key signed the last entry than the one that is to sign the next."""
    entry = _entry(last)
    if store.vault is None or entry is None or entry.signature is None:
        return
    if entry.signature != store.vault.signature(entry.unsigned):
        raise WrongRunError(
            f"the run in {store.location} was begun under another key than protection.key, whose id is "
            f"{store.vault.key_id}, or its trail was changed: give the key that it was begun with"
        )


def actor() -> str:
    """Who acts: IDLEAK_ACTOR, else the user and the machine."""
    if name := os.environ.get("IDLEAK_ACTOR"):
        return _escaped(name)
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = f"user {os.getuid()}"
    return f"{user} at {socket.gethostname()}"


def entries(store: RunStore) -> Iterator[TrailEntry]:
    """All entries that can be read, in their order."""
    for path in store.sizes(TRAIL_PREFIX):
        entry = _entry(store.read(path))
        if entry is not None:
            yield entry


def head(store: RunStore) -> str:
    """Sha256 of the last entry's file, hexadecimal; empty without a trail."""
    paths = list(store.sizes(TRAIL_PREFIX))
    return _digest(store.read(paths[-1])) if paths else ""


def replay(store: RunStore) -> Iterator[tuple[str, str]]:
    """What is wrong with the trail: (path, problem). Raises SpecError for signatures without their key."""
    before, written = "", dict[str, str | None]()
    for number, path in enumerate(store.sizes(TRAIL_PREFIX), start=1):
        data = store.read(path)
        entry = _entry(data)
        if path != _path(number):
            yield path, f"should be {_path(number)}: an entry is missing"
            return
        if entry is None or entry.number != number:
            yield path, "is no entry of the trail"
            return
        if entry.before != before:
            yield path, "does not follow from the entry before it: one of the two was changed"
        if store.vault is not None and entry.signature != store.vault.signature(entry.unsigned):
            yield path, "is not signed by this run's key: it was changed, or made by somebody without it"
        written |= _written(entry)
        before = _digest(data)
    yield from _changed(store, written)


def _written(entry: TrailEntry) -> dict[str, str | None]:
    """Digests of the files that an act wrote; None for those that it deleted."""
    wrote, deleted = entry.what.get("wrote"), entry.what.get("deleted")
    recorded: dict[str, str | None] = {}
    if isinstance(wrote, Mapping):
        recorded |= {path: str(digest) for path, digest in wrote.items()}
    if isinstance(deleted, list):
        recorded |= {str(path): None for path in deleted}
    return recorded


def _changed(store: RunStore, written: Mapping[str, str | None]) -> Iterator[tuple[str, str]]:
    """Files that are not as the trail says that they were left."""
    there = store.sizes()
    for path, digest in written.items():
        if digest is None and path in there and not path.startswith(TRANSIENT):
            yield path, "is there, and the trail says that it was deleted"
        elif digest is not None and path not in there:
            yield path, "is missing, and the trail does not say that it was deleted"
        elif digest is not None and _digest(store.read(path)) != digest:
            yield path, "is not as the trail says that it was written"


def digests(store: RunStore, *paths: str) -> dict[str, str]:
    """Sha256 of those of these files that are there."""
    there = store.sizes()
    return {path: _digest(store.read(path)) for path in paths if path in there}


def _entry(data: bytes) -> TrailEntry | None:
    try:
        return TrailEntry.model_validate_json(data)
    except ValidationError:
        return None


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _path(number: int) -> str:
    return f"{TRAIL_PREFIX}/{number:06d}.json"
