"""SIGTERM: the first lets the shards under way end, the second ends the process within seconds."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

END_SECONDS = 4.0
_requested = threading.Event()


def stop_requested() -> bool:
    """Whether no more work is to be begun."""
    return _requested.is_set()


@contextmanager
def sigterm_heeded() -> Iterator[None]:
    """Take SIGTERM over; at the end it is as it was."""
    before = signal.getsignal(signal.SIGTERM)
    heed_sigterm()
    try:
        yield
    finally:
        if _in_main_thread():
            signal.signal(signal.SIGTERM, before or signal.SIG_DFL)


def heed_sigterm() -> None:
    """Take SIGTERM over, in the main thread; Ray takes it for itself when it is joined."""
    if _in_main_thread():
        signal.signal(signal.SIGTERM, _on_sigterm)


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def _on_sigterm(number: int, frame: FrameType | None) -> None:
    if not _requested.is_set():
        _requested.set()
        os.write(sys.stderr.fileno(), b"idleak: stopping when the shards under way are done\n")
        return
    # Whatever hangs, the process ends; a lock that is left is a dead process's, which the next one takes.
    watchdog = threading.Timer(END_SECONDS, os._exit, (128 + number,))
    watchdog.daemon = True
    watchdog.start()
    raise KeyboardInterrupt
