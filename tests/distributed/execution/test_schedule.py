"""The schedule on simulated actors: stragglers, failures, lost machines."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distributed.execution.schedule import (
    LEAST_FINISHED,
    ActorDiedError,
    ActorUnreachableError,
    NodeLostError,
    Schedule,
)
from jobs.benchmarks.scheduler import Fate, Numbered, SimulatedActors, SimulatedCluster, Work
from schemas.errors import ModelError, StoppedError
from schemas.events import EventKind, WorkEvent
from schemas.run.shard import LostShard


@dataclass
class Ran:
    """The result of one simulated run."""

    actors: SimulatedActors
    reports: Counter[int] = field(default_factory=Counter)
    lost: list[LostShard] = field(default_factory=list)
    events: list[WorkEvent] = field(default_factory=list)

    def tries(self, index: int) -> list[Work]:
        return [work for work in self.actors.works if work.index == index]


def simulated(
    fates: dict[tuple[int, int], Fate],
    *,
    shards: int,
    workers: int,
    max_attempts: int = 3,
    usual: float = 60.0,
    deadline: float = math.inf,
) -> Ran:
    """Tasks of `usual` seconds, but for the (index, attempt) in `fates`."""
    ran = Ran(SimulatedActors(lambda index, attempt: fates.get((index, attempt), Fate(usual))))
    return carry_out(ran, shards=shards, workers=workers, max_attempts=max_attempts, deadline=deadline)


def carry_out(
    ran: Ran, *, shards: int, workers: int, max_attempts: int = 3, deadline: float = math.inf
) -> Ran:
    ran.lost = Schedule(
        [Numbered(index) for index in range(shards)],
        ran.actors,
        workers=lambda: workers,
        on_report=lambda index: ran.reports.update([index]),
        on_event=ran.events.append,
        max_attempts=max_attempts,
        deadline=deadline,
    ).run()
    return ran


def most_at_once(spans: list[tuple[float, float]]) -> int:
    """Of half-open spans, the largest number that hold at the same time."""
    steps = sorted([(start, 1) for start, _ in spans] + [(stop, -1) for _, stop in spans])
    alive = most = 0
    for _, step in steps:
        alive += step
        most = max(most, alive)
    return most


HARSH = SimulatedCluster(spread=0.5, straggling=0.2, failing=0.2, dying=0.1)


def reported_once_or_lost(cluster: SimulatedCluster, seed: int, shards: int, workers: int) -> Ran:
    """Every task is, after three attempts; no worker makes two at once, nor are there more than may be."""
    ran = carry_out(
        Ran(SimulatedActors(partial(cluster.fate, seed), start_seconds=20.0, round_trip=0.005)),
        shards=shards,
        workers=workers,
    )
    assert all(task.attempts == 3 for task in ran.lost)
    assert ran.reports + Counter(task.index for task in ran.lost) == Counter(range(shards))
    lives = ran.actors.lives
    assert most_at_once([(life.start, life.stop) for life in lives]) <= workers
    for actor in range(len(lives)):
        spans = [(work.start, work.stop) for work in ran.actors.works if work.actor == actor]
        assert most_at_once(spans) <= 1
    return ran


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32), shards=st.integers(0, 60), workers=st.integers(1, 8))
def test_every_task_is_reported_once_or_lost_after_three_attempts(
    seed: int, shards: int, workers: int
) -> None:
    ran = reported_once_or_lost(HARSH, seed, shards, workers)
    assert all(len(ran.tries(index)) <= 4 for index in range(shards))
    assert all(life.stop <= ran.actors.now() for life in ran.actors.lives)


WRITING_TOO = replace(HARSH, write_seconds=70.0)
"""Writing takes about as long as making: actors have two tasks most of the time."""


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**32), shards=st.integers(0, 40), workers=st.integers(1, 6))
def test_tasks_that_are_written_while_others_are_made_are_reported_once_or_lost(
    seed: int, shards: int, workers: int
) -> None:
    reported_once_or_lost(WRITING_TOO, seed, shards, workers)


def test_a_task_is_made_while_the_one_before_is_written() -> None:
    ran = simulated({(index, 0): Fate(60.0, writes=20.0) for index in range(4)}, shards=4, workers=1)
    assert ran.reports == Counter(range(4)) and 260 <= ran.actors.now() < 261


def test_a_failed_write_is_charged_to_its_own_task() -> None:
    fates = {(1, attempt): Fate(60.0, writes=20.0, write_fails=True) for attempt in range(3)}
    ran = simulated(fates, shards=6, workers=2)
    assert ran.lost == [LostShard(1, 3, "not written")] and len(ran.actors.lives) == 2
    assert ran.reports == Counter([0, 2, 3, 4, 5])
    assert all(len(ran.tries(index)) == 1 for index in (0, 2, 3, 4, 5))


@pytest.mark.parametrize("writes", [False, True])
def test_the_end_of_an_actor_is_charged_to_both_of_its_tasks_once_and_then_to_the_guilty_one(
    writes: bool,
) -> None:
    guilty = Fate(60.0, writes=20.0, write_kills=writes, kills=not writes)
    fates = {
        (index, attempt): Fate(60.0, writes=20.0 if writes else 90.0)
        for index in range(6)
        for attempt in range(4)
    }
    ran = simulated(fates | {(2, attempt): guilty for attempt in range(3)}, shards=6, workers=1)
    assert [(lost.index, lost.attempts) for lost in ran.lost] == [(2, 3)]
    assert ran.reports == Counter([0, 1, 3, 4, 5])
    failed = [event.shard for event in ran.events if event.what is EventKind.FAILED]
    assert sorted(failed) == ([2, 2, 3] if writes else [1, 2, 2])


def test_a_write_that_ends_its_idle_actor_is_charged() -> None:
    fates = {(0, attempt): Fate(60.0, writes=20.0, write_kills=True) for attempt in range(3)}
    ran = simulated(fates, shards=1, workers=1)
    assert ran.lost == [LostShard(0, 3, "killed while it wrote")] and len(ran.actors.lives) == 3


def test_the_copy_of_a_straggler_wins() -> None:
    ran = simulated({(7, 0): Fate(3600.0)}, shards=8, workers=2)
    slow, copy = ran.tries(7)
    assert ran.reports == Counter(range(8)) and ran.lost == []
    assert copy.useful and not slow.useful and copy.actor != slow.actor
    assert 90 <= copy.start - slow.start < 92
    assert ran.actors.now() == slow.stop == copy.stop


def test_the_original_of_a_straggler_wins() -> None:
    ran = simulated({(7, 0): Fate(100.0)}, shards=8, workers=2)
    slow, copy = ran.tries(7)
    assert ran.reports == Counter(range(8))
    assert slow.useful and not copy.useful
    assert ran.actors.now() == slow.stop == copy.stop


def test_a_task_is_copied_once_the_longest_running_first_and_only_by_idle_actors() -> None:
    slow = {(index, 0): Fate(3600.0) for index in (9, 10, 11)}
    ran = simulated(slow, shards=12, workers=4)
    assert all(len(ran.tries(index)) == 2 for index in (9, 10, 11))
    assert [work.index for work in ran.actors.works[-3:]] == [9, 10, 11]
    assert [work.start for work in ran.actors.works[-3:]] == [210.0, 270.0, 330.0]
    assert ran.actors.now() == 390.0
    assert len(ran.actors.lives) == 4


@pytest.mark.parametrize(("shards", "seconds"), [(LEAST_FINISHED, 3600.0), (8, 89.0)])
def test_nothing_is_copied_on_too_little_evidence(shards: int, seconds: float) -> None:
    ran = simulated({(shards - 1, 0): Fate(seconds)}, shards=shards, workers=2)
    assert len(ran.actors.works) == shards and ran.reports == Counter(range(shards))


def test_what_is_late_by_a_moment_is_not_copied() -> None:
    ran = simulated({(7, 0): Fate(1.9)}, shards=8, workers=2, usual=0.1)
    assert len(ran.actors.works) == 8


def test_a_copy_that_fails_is_not_charged() -> None:
    ran = simulated(
        {(7, 0): Fate(300.0), (7, 1): Fate(20.0, fails=True)}, shards=8, workers=2, max_attempts=1
    )
    assert ran.reports == Counter(range(8)) and ran.lost == []
    assert [work.useful for work in ran.tries(7)] == [True, False]


@pytest.mark.parametrize("end", [Fate(120.0, fails=True), Fate(120.0, kills=True)])
def test_an_original_that_fails_is_not_charged_while_its_copy_runs(end: Fate) -> None:
    ran = simulated({(7, 0): end}, shards=8, workers=2, max_attempts=1)
    assert ran.reports == Counter(range(8)) and ran.lost == []
    assert [work.useful for work in ran.tries(7)] == [False, True]


def test_two_attempts_that_fail_side_by_side_are_charged_once_and_not_copied_again() -> None:
    fates = {(7, 0): Fate(300.0, fails=True), (7, 1): Fate(20.0, fails=True), (7, 2): Fate(300.0)}
    ran = simulated(fates, shards=8, workers=2, max_attempts=2)
    assert ran.reports == Counter(range(8)) and len(ran.tries(7)) == 3
    assert simulated(fates, shards=8, workers=2, max_attempts=1).lost == [LostShard(7, 1, "failed")]


def test_attempts_are_capped_and_the_reason_is_kept() -> None:
    fates = {(3, attempt): Fate(1.0, fails=True) for attempt in range(9)}
    fates |= {(4, attempt): Fate(1.0, kills=True) for attempt in range(9)}
    ran = simulated(fates, shards=20, workers=4)
    assert ran.lost == [LostShard(3, 3, "failed"), LostShard(4, 3, "killed")]
    assert len(ran.tries(3)) == len(ran.tries(4)) == 3
    assert ran.reports == Counter(set(range(20)) - {3, 4})


def test_a_failed_task_is_done_next_and_by_another_actor() -> None:
    ran = simulated({(0, 0): Fate(30.0, fails=True)}, shards=100, workers=2)
    first, second = ran.tries(0)
    assert second.actor != first.actor and second.start == 60.0


def test_a_failed_task_waits_for_another_actor_even_at_the_end() -> None:
    ran = simulated({(5, 0): Fate(1.0, fails=True)}, shards=6, workers=2)
    first, second = ran.tries(5)
    assert second.actor != first.actor and second.start == ran.tries(4)[0].stop


def test_a_failed_task_is_done_at_once_by_another_idle_actor() -> None:
    ran = simulated({(0, 0): Fate(10.0), (1, 0): Fate(20.0, fails=True)}, shards=3, workers=3)
    assert ran.tries(1)[1].actor == ran.tries(0)[0].actor and ran.tries(1)[1].start == 20.0


def test_a_failed_task_goes_back_to_the_only_actor() -> None:
    ran = simulated({(0, 0): Fate(30.0, fails=True)}, shards=3, workers=1)
    assert ran.reports == Counter(range(3)) and len(ran.actors.lives) == 1
    assert ran.tries(0)[1].start == 30.0 + 2 * 60.0


def test_a_failed_task_is_not_held_up_by_an_actor_that_hangs() -> None:
    ran = simulated({(6, 0): Fate(1e9), (7, 0): Fate(1.0, fails=True)}, shards=8, workers=2)
    assert ran.reports == Counter(range(8)) and ran.actors.now() < 600
    assert ran.tries(7)[1].actor == 2 and len(ran.actors.lives) == 3


class Broken(SimulatedActors):
    """Task 5 raises an error that ends the whole run."""

    def result(self, handle: int) -> int | str:
        if handle >= 0 and self.works[handle].index == 5:
            raise ModelError("the model is broken")
        return super().result(handle)


def test_a_task_past_the_deadline_costs_an_attempt_and_its_actor() -> None:
    hung = Fate(10_000.0)
    ran = simulated({(0, 0): hung}, shards=3, workers=2, deadline=300.0)
    first, second = ran.tries(0)
    assert ran.reports == Counter(range(3)) and ran.lost == []
    assert not first.useful and second.useful and 300 < first.stop - first.start < 303
    assert second.start >= first.stop and second.actor != first.actor


def test_a_task_that_always_hangs_is_given_up_and_the_rest_is_done() -> None:
    fates = {(1, attempt): Fate(10_000.0) for attempt in range(3)}
    ran = simulated(fates, shards=4, workers=2, deadline=300.0)
    assert ran.reports == Counter([0, 2, 3])
    assert [(task.index, task.attempts) for task in ran.lost] == [(1, 3)]
    assert "not done after 300 s" in ran.lost[0].reason


def test_an_expected_error_ends_everything_at_once() -> None:
    ran = Ran(Broken(lambda index, attempt: Fate(60.0)))
    with pytest.raises(ModelError, match=r"^the model is broken$"):
        carry_out(ran, shards=100, workers=4)
    assert set(ran.reports) <= set(range(8)) and ran.actors.now() == 120.0
    assert len(ran.actors.lives) == 4 and all(life.stop == 120.0 for life in ran.actors.lives)


def test_a_report_that_cannot_be_taken_ends_everything() -> None:
    actors = SimulatedActors(lambda index, attempt: Fate(60.0))

    def full(report: int) -> None:
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="the disk is full"):
        Schedule([Numbered(0), Numbered(1)], actors, workers=lambda: 2, on_report=full).run()
    assert [life.stop for life in actors.lives] == [60.0, 60.0]


class Spot(SimulatedActors):
    """Actors that die do so with their machine."""

    def result(self, handle: int) -> int | str:
        try:
            return super().result(handle)
        except ActorDiedError as error:
            raise NodeLostError(str(error)) from error


def test_a_lost_machine_is_not_charged_to_its_task() -> None:
    lost = {(3, attempt) for attempt in range(5)}
    ran = Ran(Spot(lambda index, attempt: Fate(60.0, kills=(index, attempt) in lost)))
    carry_out(ran, shards=5, workers=2)
    assert ran.lost == [] and ran.reports == Counter(range(5)) and len(ran.tries(3)) == 6
    events = [event for event in ran.events if event.shard == 3]
    assert [event.what for event in events] == [EventKind.MACHINE_LOST] * 5 + [EventKind.DONE]
    assert all(60 <= event.seconds < 61 and event.attempts == 0 for event in events)


def grown(
    workers: Callable[[float], int], *, shards: int, start_seconds: float = 0.0, room_seconds: float = 900.0
) -> Ran:
    """Tasks of 60 seconds on a cluster that has room for so many workers at a time in seconds."""
    ran = Ran(SimulatedActors(lambda index, attempt: Fate(60.0), start_seconds=start_seconds))
    Schedule(
        [Numbered(index) for index in range(shards)],
        ran.actors,
        workers=lambda: workers(ran.actors.now()),
        on_report=lambda index: ran.reports.update([index]),
        on_event=ran.events.append,
        room_seconds=room_seconds,
    ).run()
    return ran


def test_machines_that_come_later_are_used_at_once() -> None:
    ran = grown(lambda now: 1 if now < 90 else 4, shards=20)
    assert ran.reports == Counter(range(20)) and [
        event.workers for event in ran.events if event.what is EventKind.UP
    ] == [1, 2, 3, 4]
    assert [life.start // 10 for life in ran.actors.lives] == [0.0, 9.0, 9.0, 9.0]
    assert 390 <= ran.actors.now() < 393


def test_a_run_without_a_machine_waits_for_one() -> None:
    ran = grown(lambda now: 0 if now < 600 else 2, shards=4)
    assert ran.reports == Counter(range(4)) and 720 <= ran.actors.now() < 725


@pytest.mark.parametrize(("room", "start_seconds"), [(0, 0.0), (3, math.inf)])
def test_a_run_that_finds_no_machine_stops_and_says_so(room: int, start_seconds: float) -> None:
    with pytest.raises(StoppedError, match="no machine has had room for a worker for 300 s; 4 shards"):
        grown(lambda now: room, shards=4, start_seconds=start_seconds, room_seconds=300.0)


def test_no_more_workers_are_started_than_tasks_wait() -> None:
    ran = grown(lambda now: 100, shards=3, start_seconds=20.0)
    assert len(ran.actors.lives) == 3 and ran.actors.now() == 80.0


class OutOfReach(SimulatedActors):
    """Task 3's actor does not answer, twice; then it is told whether it was lost with its machine."""

    def __init__(self, *, lost: bool) -> None:
        super().__init__(lambda index, attempt: Fate(60.0))
        self._lost = lost
        self._asked: dict[int, int] = {}
        self.doubts = 0

    def probe(self, actor: int) -> int:
        handle = super().probe(actor)
        self._asked[handle] = actor
        return handle

    def result(self, handle: int) -> int | str:
        first_try = handle >= 0 and self.works[handle].index == 3 and self.doubts == 0
        if first_try or (handle in self._asked and self.doubts < 2):
            self.doubts += 1
            raise ActorUnreachableError("socket closed")
        if handle in self._asked and self._lost:
            raise NodeLostError("its node has died")
        return super().result(handle)


@pytest.mark.parametrize("lost", [True, False])
def test_an_actor_out_of_reach_is_asked_after_before_its_task_is_charged(lost: bool) -> None:
    ran = Ran(OutOfReach(lost=lost))
    carry_out(ran, shards=5, workers=2, max_attempts=1 if lost else 2)
    assert ran.lost == [] and ran.reports == Counter(range(5)) and len(ran.tries(3)) == 2
    assert len(ran.actors.lives) == (3 if lost else 2)
    if not lost:
        again = carry_out(Ran(OutOfReach(lost=False)), shards=5, workers=2, max_attempts=1)
        assert again.lost == [LostShard(3, 1, "its worker could not be reached for a while")]
