"""`idleak bench scheduler`: what share of a cluster's time scheduling costs, on simulated workers."""

from __future__ import annotations

import heapq
import math
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
from rich.console import Console
from rich.table import Table

from distributed.execution.schedule import COPY_AFTER, WRITING, ActorDiedError, Schedule, TaskFailedError
from jobs.cli.exit_codes import ExitCode

TRIALS = 5
BAR = 0.03


@dataclass(frozen=True)
class Numbered:
    """A shard, as far as the scheduler sees it."""

    index: int


@dataclass(frozen=True)
class Fate:
    """What becomes of one attempt: seconds of work, then a result, an exception, or the end of its actor.

    writes: seconds for which its result is written, while its actor can do other work; then the same choice.
    """

    seconds: float
    fails: bool = False
    kills: bool = False
    slow: float = 0.0
    """Of the seconds, those that a straggler took beyond what its shard takes."""
    writes: float = 0.0
    write_fails: bool = False
    write_kills: bool = False


@dataclass(frozen=True)
class SimulatedCluster:
    """A cluster as it is simulated: seconds, and probabilities per attempt."""

    workers: int = 64
    shard_seconds: float = 60.0
    spread: float = 0.1
    straggling: float = 0.01
    slowdown: float = 5.0
    failing: float = 0.005
    dying: float = 0.001
    start_seconds: float = 20.0
    round_trip: float = 0.005
    write_seconds: float = 0.0

    def fate(self, seed: int, index: int, attempt: int) -> Fate:
        """A function of its arguments alone: two schedules of one seed have the same luck."""
        random = np.random.default_rng((seed, index))
        usual = self.shard_seconds * math.exp(self.spread * random.standard_normal())
        slowness, luck = random.random((attempt + 1, 2))[attempt].tolist()
        slow = usual * (self.slowdown - 1) if slowness < self.straggling else 0.0
        fails = luck < self.failing
        kills = self.failing <= luck < self.failing + self.dying
        seconds = (usual + slow) / (2 if fails or kills else 1)
        if not self.write_seconds:
            return Fate(seconds, fails, kills, slow)
        rest = luck - self.failing - self.dying
        write_fails, write_kills = 0 <= rest < self.failing, 0 <= rest - self.failing < self.dying
        return Fate(seconds, fails, kills, slow, self.write_seconds, write_fails, write_kills)


@dataclass
class Work:
    """An attempt on a simulated actor. It begins when its actor is up; stop is moved if it is ended early."""

    index: int
    actor: int
    start: float
    stop: float
    fate: Fate
    useful: bool = False


@dataclass
class Life:
    """A simulated actor: starting from `start`, ready for work at `up`, gone at `stop`."""

    start: float
    up: float
    stop: float = math.inf


FIRST_WRITE = 2**40
"""Handles of works begin at 0, of actors at -1, and of what a work has written here."""


class SimulatedActors:
    """Actors with a virtual clock, for `Schedule`. fate: (index, attempt from 0) -> what becomes of it."""

    def __init__(
        self, fate: Callable[[int, int], Fate], *, start_seconds: float = 0.0, round_trip: float = 0.0
    ) -> None:
        self._fate, self._start_seconds, self._one_way = fate, start_seconds, round_trip / 2
        self._now = 0.0
        self._ends: list[tuple[float, int]] = []
        self._attempts: dict[int, list[Work]] = {}
        self._latest: dict[int, Work] = {}
        self.works: list[Work] = []
        self.lives: list[Life] = []
        self.copies = 0
        self.handed_out = 0.0
        """When the last shard was begun for the first time."""

    def now(self) -> float:
        return self._now

    def name(self, actor: int) -> str:
        return str(actor)

    def start(self) -> tuple[int, int]:
        actor = len(self.lives)
        self.lives.append(Life(self._now, self._now + self._start_seconds))
        handle = -1 - actor
        heapq.heappush(self._ends, (self.lives[actor].up + self._one_way, handle))
        return actor, handle

    def probe(self, actor: int) -> int:
        """Answered at once: simulated actors are never out of reach."""
        handle = -1 - actor
        heapq.heappush(self._ends, (self._now + 2 * self._one_way, handle))
        return handle

    def submit(self, actor: int, task: Numbered) -> int:
        before = self._attempts.setdefault(task.index, [])
        fate = self._fate(task.index, len(before))
        start = max(self._now + self._one_way, self.lives[actor].up)
        work = Work(task.index, actor, start, start + fate.seconds, fate)
        if not before:
            self.handed_out = self._now
        elif before[-1].stop + self._one_way > self._now:
            self.copies += 1
        before.append(work)
        self.works.append(work)
        self._latest[actor] = work
        heapq.heappush(self._ends, (work.stop + self._one_way, len(self.works) - 1))
        return len(self.works) - 1

    def written(self, actor: int, task: Numbered) -> int:
        place = max(place for place, work in enumerate(self.works) if work.actor == actor)
        while self.works[place].index != task.index:
            place -= 1
        handle = FIRST_WRITE + place
        heapq.heappush(self._ends, (self._now + 2 * self._one_way + self.works[place].fate.writes, handle))
        return handle

    def wait(self, handles: Collection[int], timeout: float) -> Sequence[int]:
        """Moves the clock to the next end of a task, or on by `timeout`."""
        while self._ends and self._ends[0][1] not in handles:
            heapq.heappop(self._ends)
        if not self._ends or self._ends[0][0] > self._now + timeout:
            self._now += timeout
            return []
        self._now, handle = heapq.heappop(self._ends)
        return [handle]

    def result(self, handle: int) -> int | str:
        if handle < 0:
            return handle
        if handle >= FIRST_WRITE:
            return self._write_result(self.works[handle - FIRST_WRITE])
        work = self.works[handle]
        if self.lives[work.actor].stop <= work.stop:
            raise ActorDiedError("killed before")
        if work.fate.kills:
            self.lives[work.actor].stop = work.stop
            raise ActorDiedError("killed")
        if work.fate.fails:
            raise TaskFailedError("failed")
        if work.fate.writes:
            return WRITING
        work.useful = True
        return work.index

    def _write_result(self, work: Work) -> int:
        if work.fate.write_kills:
            self.end([work.actor])
            raise ActorDiedError("killed while it wrote")
        if work.fate.write_fails:
            raise TaskFailedError("not written")
        work.useful = True
        return work.index

    def end(self, actors: Collection[int]) -> None:
        for actor in actors:
            self.lives[actor].stop = min(self.lives[actor].stop, self._now)
            if actor in self._latest:
                work = self._latest[actor]
                work.stop = max(work.start, min(work.stop, self._now))


@dataclass(frozen=True)
class Account:
    """Where the time of all workers went, in seconds; the parts add up to workers × makespan.

    needed: on the attempt of each shard whose result counted. wasted: on attempts that failed or died, and on
    the other one of two copies. A worker does nothing while its actor starts (starting), between two shards
    (between: round trips, and what is left of a worker that died unnoticed), and once no shard is left that
    has not been begun (tail). slow: of the needed time, what stragglers took beyond what their shards take.
    """

    makespan: float
    workers: int
    needed: float
    wasted: float
    starting: float
    between: float
    tail: float
    slow: float
    copies: int

    @property
    def whole(self) -> float:
        return self.workers * self.makespan

    @property
    def ideal(self) -> float:
        """Makespan if every worker did nothing but needed work from first to last."""
        return self.needed / self.workers

    @property
    def idle(self) -> float:
        """Share of the time in which workers do nothing."""
        return (self.starting + self.between + self.tail) / self.whole

    @property
    def not_needed(self) -> float:
        """Share of the time that is idle or wasted: the bar is for this one, the stricter."""
        return 1 - self.needed / self.whole


def account(actors: SimulatedActors, workers: int) -> Account:
    """Add up a finished simulation."""
    makespan, cut = actors.now(), actors.handed_out
    busy = [(work.start, work.stop) for work in actors.works]
    starting = [(life.start, min(life.up, life.stop)) for life in actors.lives]
    before = sum(max(0.0, min(stop, cut) - min(start, cut)) for start, stop in [*busy, *starting])
    after = sum(max(0.0, max(stop, cut) - max(start, cut)) for start, stop in [*busy, *starting])
    useful = [work for work in actors.works if work.useful]
    needed = sum(work.stop - work.start for work in useful)
    return Account(
        makespan=makespan,
        workers=workers,
        needed=needed,
        wasted=sum(stop - start for start, stop in busy) - needed,
        starting=sum(stop - start for start, stop in starting),
        between=workers * cut - before,
        tail=workers * (makespan - cut) - after,
        slow=sum(work.fate.slow for work in useful),
        copies=actors.copies,
    )


def simulate(cluster: SimulatedCluster, shards: int, seed: int, copy_after: float = COPY_AFTER) -> Account:
    """Run the real schedule of `shards` shards over simulated workers."""
    actors = SimulatedActors(
        lambda index, attempt: cluster.fate(seed, index, attempt),
        start_seconds=cluster.start_seconds,
        round_trip=cluster.round_trip,
    )
    tasks = [Numbered(index) for index in range(shards)]
    Schedule(
        tasks, actors, workers=lambda: cluster.workers, on_report=lambda _: None, copy_after=copy_after
    ).run()
    return account(actors, cluster.workers)


def bench_scheduler(cluster: SimulatedCluster, shards: int, seed: int) -> ExitCode:
    """Print what several seeds give with and without copies of stragglers; FAILED if one is above the bar."""
    start = time.perf_counter()
    seeds = range(seed, seed + TRIALS)
    copied = [simulate(cluster, shards, trial_seed) for trial_seed in seeds]
    seconds = (time.perf_counter() - start) / TRIALS
    plain = [simulate(cluster, shards, trial_seed, copy_after=math.inf) for trial_seed in seeds]
    console = Console()
    console.print(_table(copied, plain, f"{shards:,} shards over {cluster.workers} workers"))
    console.print(
        f"median (least to most) of the seeds {seeds[0]} to {seeds[-1]}; shares of workers × makespan; "
        f"{seconds:.1f} s of this machine per run, {seconds / shards * 1e6:,.0f} µs per shard"
    )
    worst = max(run.not_needed for run in copied)
    holds = worst <= BAR
    console.print(f"idle and wasted, worst seed: {worst:.2%}; bar {BAR:.0%}: {'pass' if holds else 'FAIL'}")
    return ExitCode.OK if holds else ExitCode.FAILED


def _table(copied: Sequence[Account], plain: Sequence[Account], title: str) -> Table:
    table = Table("", "with copies", "without", title=title)
    rows: list[tuple[str, Callable[[Account], float], str]] = [
        ("makespan, s", lambda run: run.makespan, ",.0f"),
        ("ideal: needed work / workers, s", lambda run: run.ideal, ",.0f"),
        ("idle: actors start", lambda run: run.starting / run.whole, ".2%"),
        ("idle: between shards", lambda run: run.between / run.whole, ".2%"),
        ("idle: tail", lambda run: run.tail / run.whole, ".2%"),
        ("idle, together", lambda run: run.idle, ".2%"),
        ("wasted: failed, died or duplicate", lambda run: run.wasted / run.whole, ".2%"),
        ("idle and wasted", lambda run: run.not_needed, ".2%"),
        ("needed, but slowed down", lambda run: run.slow / run.whole, ".2%"),
        ("copies", lambda run: run.copies, ".0f"),
    ]
    for name, figure, form in rows:
        table.add_row(name, _spread(map(figure, copied), form), _spread(map(figure, plain), form))
    return table


def _spread(figures: Iterable[float], form: str) -> str:
    ordered = sorted(figures)
    return f"{median(ordered):{form}} ({ordered[0]:{form}} to {ordered[-1]:{form}})"
