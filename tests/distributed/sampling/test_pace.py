from __future__ import annotations

import threading
from itertools import pairwise

import pytest

from distributed.sampling.api.pace import FIRST_PAUSE, LONGEST_PAUSE, Pace


class Clock:
    """Time that passes only during a sleep."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def now(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


def paced(clock: Clock, rate: float = 10.0, patience: int = 3) -> Pace:
    return Pace(rate, patience, clock.now, clock.sleep)


def gaps(pace: Pace, clock: Clock, count: int) -> list[float]:
    sent = [clock.now(), *(pace.wait() for _ in range(count))]
    return [round(after - before, 6) for before, after in pairwise(sent)]


def test_requests_are_even(clock: Clock) -> None:
    assert gaps(paced(clock), clock, 5) == [0, 0.1, 0.1, 0.1, 0.1]


def test_a_late_request_does_not_slow_the_next_and_a_pause_is_not_made_up_for(clock: Clock) -> None:
    pace = paced(clock)
    pace.wait()
    clock.seconds += 0.15
    assert gaps(pace, clock, 3) == [0, 0.05, 0.1]
    clock.seconds += 60
    assert gaps(pace, clock, 4) == [0, 0, 0.1, 0.1]


def test_a_servers_pause_holds_everybody_even_who_waits_already(clock: Clock) -> None:
    pace = paced(clock)
    sent = pace.wait()
    pace.failed(sent, asked=30)
    assert gaps(pace, clock, 2) == [30, 0.1]


def test_the_circuit_opens_tries_ever_more_seldom_and_closes(clock: Clock) -> None:
    pace, pauses = paced(clock), []
    last = clock.now()
    for _ in range(14):
        sent = pace.wait()
        pauses.append(round(sent - last, 6))
        last = sent
        pace.failed(sent)
    assert pauses[:6] == [0, 0.1, 0.1, FIRST_PAUSE, 2 * FIRST_PAUSE, 4 * FIRST_PAUSE]
    assert pauses[-1] == LONGEST_PAUSE
    pace.wait()
    pace.succeeded()
    assert gaps(pace, clock, 3) == [0.1, 0.1, 0.1]


def test_what_was_under_way_does_not_lengthen_the_pause(clock: Clock) -> None:
    pace = paced(clock, patience=2)
    sent = [pace.wait() for _ in range(8)]
    clock.seconds += 1
    for request in sent:
        pace.failed(request)
    assert gaps(pace, clock, 1) == [FIRST_PAUSE]


def test_threads_share_one_pace() -> None:
    pace, sent = Pace(200, 8), []
    threads = [threading.Thread(target=lambda: sent.append(pace.wait())) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(sent) - min(sent) >= 18 / 200
