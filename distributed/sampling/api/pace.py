"""How fast an API is asked, all threads together."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

LONGEST_PAUSE = 300.0
FIRST_PAUSE = 1.0
LOOK_SECONDS = 0.1


class Pace:
    """Lets requests through evenly, at a fixed rate, and fewer of them while the API is in trouble.

    A server's own `Retry-After` holds all requests back, for its limits are the account's. After `patience`
    failures in a row the circuit is open: one request at a time is let through to try, each after a pause
    twice as long as the one before, up to LONGEST_PAUSE; the first success closes it.
    """

    def __init__(
        self,
        rate: float,
        patience: int,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._gap, self._patience, self._now, self._sleep = 1.0 / rate, patience, now, sleep
        self._next, self._failures, self._opened = now(), 0, 0.0
        self._turn, self._lock = threading.Lock(), threading.Lock()

    def wait(self) -> float:
        """Return when a request may be sent; the time it is sent at."""
        with self._turn:
            while (left := self._next - self._now()) > 0:
                self._sleep(min(left, LOOK_SECONDS))
            with self._lock:
                now = self._now()
                # A request that comes a little late does not slow the next one down.
                self._next = max(self._next, now - self._gap) + max(self._gap, self._pause())
            return now

    def succeeded(self) -> None:
        """A request was answered: whoever waits for the next try need not wait that long."""
        with self._lock:
            if self._failures >= self._patience:
                self._next = self._now() + self._gap
            self._failures = 0

    def failed(self, sent: float, asked: float = 0.0) -> None:
        """A request that was sent at `sent` failed; the server asked for a pause of `asked` seconds."""
        with self._lock:
            # What was under way when the circuit opened says nothing new.
            if self._failures < self._patience or sent >= self._opened:
                self._failures += 1
                self._opened = self._now()
            self._next = max(self._next, self._now() + max(asked, self._pause()))

    def _pause(self) -> float:
        """Seconds between tries; 0 while the circuit is closed."""
        over = self._failures - self._patience
        return 0.0 if over < 0 else min(FIRST_PAUSE * 2.0 ** min(over, 30), LONGEST_PAUSE)
