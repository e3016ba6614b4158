"""One process at a time works on a run."""

from __future__ import annotations

import fcntl
import hashlib
import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import psutil
from pydantic import TypeAdapter

from distributed.storage.store import RunStore
from schemas.errors import DamagedError, LockedError, MissingFileError
from schemas.run.artefacts import LOCK_FILE
from schemas.run.lock import Lock

LOCK = TypeAdapter(Lock)


@contextmanager
def run_lock(store: RunStore) -> Iterator[None]:
    """Hold the run's lock, made by an atomic create.

    The lock of a process that has ended on this very machine is taken over. Any other holder raises
    LockedError, which names it.
    """
    me = _myself()
    if not store.create(LOCK_FILE, me):
        with _one_at_a_time(store.location):
            _take_over(store, me)
    try:
        yield
    finally:
        store.delete(LOCK_FILE)


@dataclass(frozen=True)
class Holder:
    """Who has a run's lock. has_ended: it ran on this machine, and is no more."""

    host: str
    pid: int
    has_ended: bool


def lock_holder(store: RunStore) -> Holder | None:
    """None if nobody has the lock."""
    if not store.exists(LOCK_FILE):
        return None
    holder = _read(store)
    return Holder(holder.host, holder.pid, _has_ended(holder))


@contextmanager
def _one_at_a_time(location: str) -> Iterator[None]:
    """Of this machine's processes, which alone can tell that a holder on it has ended.

    Else one could delete the lock that another has just taken over. The system frees it when its holder ends.
    """
    name = hashlib.sha256(location.encode()).hexdigest()[:16]
    path = Path(tempfile.gettempdir()) / f"idleak-{os.getuid()}-{name}.lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _take_over(store: RunStore, me: bytes) -> None:
    if store.create(LOCK_FILE, me):
        return
    holder = _read(store)
    if not _has_ended(holder):
        raise LockedError(
            f"process {holder.pid} on {holder.host} works on {store.location}: wait for it, "
            f"or, if that machine is gone, delete {LOCK_FILE} there"
        )
    store.delete(LOCK_FILE)
    if not store.create(LOCK_FILE, me):
        raise LockedError(f"another process has just begun to work on {store.location}: wait for it")


def _read(store: RunStore) -> Lock:
    try:
        return store.read_as(LOCK, LOCK_FILE)
    except MissingFileError as error:
        raise LockedError(f"another process has just let go of {store.location}: try again") from error
    except DamagedError as error:
        raise LockedError(
            f"{store.location}/{LOCK_FILE} is no lock of idleak's: delete it if nobody works on the run"
        ) from error


def _myself() -> bytes:
    me = psutil.Process()
    return LOCK.dump_json(Lock(socket.gethostname(), me.pid, me.create_time(), uuid4().hex))


def _has_ended(holder: Lock) -> bool:
    """True if the holder ran on this machine and is no more; a reused pid has another start time."""
    if holder.host != socket.gethostname():
        return False
    try:
        return psutil.Process(holder.pid).create_time() != holder.started
    except psutil.NoSuchProcess:
        return True
