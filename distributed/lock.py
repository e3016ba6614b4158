"""One process at a time works on a run."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psutil

from distributed.store import RunStore
from schemas.errors import LockedError
from schemas.layout import LOCK_FILE


@contextmanager
def run_lock(store: RunStore) -> Iterator[None]:
    """Hold the run's lock, made by an atomic create.

    The lock of a process that has ended on this very machine is taken over. Any other holder raises
    LockedError, which names it.
    """
    me = _myself()
    if not store.create(LOCK_FILE, me):
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
    found = json.loads(store.read(LOCK_FILE))
    return Holder(found["host"], found["pid"], _has_ended(found))


def _take_over(store: RunStore, me: bytes) -> None:
    holder = json.loads(store.read(LOCK_FILE))
    if not _has_ended(holder):
        raise LockedError(
            f"process {holder['pid']} on {holder['host']} works on {store.location}: wait for it, "
            f"or, if that machine is gone, delete {LOCK_FILE} there"
        )
    store.delete(LOCK_FILE)
    if not store.create(LOCK_FILE, me):
        raise LockedError(f"another process has just begun to work on {store.location}: wait for it")


def _myself() -> bytes:
    me = psutil.Process()
    return json.dumps({"host": socket.gethostname(), "pid": me.pid, "started": me.create_time()}).encode()


def _has_ended(holder: dict[str, object]) -> bool:
    """True if the holder ran on this machine and is no more; a reused pid has another start time."""
    if holder["host"] != socket.gethostname():
        return False
    try:
        return bool(psutil.Process(int(str(holder["pid"]))).create_time() != holder["started"])
    except psutil.NoSuchProcess:
        return True
