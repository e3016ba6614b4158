"""SIGTERM, or SIGHUP of a terminal that is closed: the first lets the shards under way end, the second ends
the process within seconds."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

END_SECONDS = 4.0
STOPPING = b"idleak: stopping once the work under way is done; a second signal ends it within seconds\n"
_requested = threading.Event()


def stop_requested() -> bool:
    """Whether no more work is to be begun."""
    return _requested.is_set()


def stop_signals() -> list[signal.Signals]:
    """The signals that are handled: a SIGHUP that is ignored, as under `nohup`, stays ignored."""
    is_ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    return [signal.SIGTERM] if is_ignored else [signal.SIGTERM, signal.SIGHUP]


@contextmanager
def stop_signals_handled() -> Iterator[None]:
    """Take the signals over; at the end they are as they were, and what was asked to stop has stopped."""
    before = {stop_signal: signal.getsignal(stop_signal) for stop_signal in stop_signals()}
    handle_stop_signals()
    try:
        yield
    finally:
        if _in_main_thread():
            for stop_signal, handler in before.items():
                signal.signal(stop_signal, handler or signal.SIG_DFL)
            _requested.clear()


def handle_stop_signals() -> None:
    """Take the signals over, in the main thread; Ray takes SIGTERM for itself when it is joined."""
    if _in_main_thread():
        for stop_signal in stop_signals():
            signal.signal(stop_signal, _on_signal)


@contextmanager
def hangup_ignored() -> Iterator[None]:
    """Processes that are started in the block outlive the terminal, until whoever started them ends them."""
    if not _in_main_thread():
        yield
        return
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before or signal.SIG_DFL)


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def _on_signal(number: int, frame: FrameType | None) -> None:
    if not _requested.is_set():
        _requested.set()
        with suppress(OSError):
            os.write(sys.stderr.fileno(), STOPPING)
        return
    # Whatever hangs, the process ends; a lock that is left is a dead process's, which the next one takes.
    watchdog = threading.Timer(END_SECONDS, os._exit, (128 + number,))
    watchdog.daemon = True
    watchdog.start()
    raise KeyboardInterrupt
