"""The signals that end a run in good order, and the one that `nohup` keeps away."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from distributed.execution import stopping
from distributed.execution.stopping import handle_stop_signals, stop_requested, stop_signals_handled


@pytest.fixture(autouse=True)
def nothing_requested(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopping, "_requested", threading.Event())


@contextmanager
def hangup(handling: signal.Handlers) -> Iterator[None]:
    """What the process was started with."""
    before = signal.signal(signal.SIGHUP, handling)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_asks_to_stop_and_the_second_interrupts(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Or the process would be ended some seconds later.
    monkeypatch.setattr(threading.Timer, "start", lambda timer: None)
    with hangup(signal.SIG_DFL), stop_signals_handled():
        signal.raise_signal(number)
        assert stop_requested()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)


def test_under_nohup_a_terminal_that_is_closed_stops_nothing() -> None:
    with hangup(signal.SIG_IGN), stop_signals_handled():
        handle_stop_signals()
        signal.raise_signal(signal.SIGHUP)
        assert not stop_requested() and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


def test_afterwards_the_signals_are_as_they_were() -> None:
    with hangup(signal.SIG_DFL):
        before = signal.getsignal(signal.SIGTERM)
        with stop_signals_handled():
            assert signal.getsignal(signal.SIGTERM) is not before
        assert signal.getsignal(signal.SIGTERM) is before
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_DFL
