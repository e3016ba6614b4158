"""`idleak bench gallery`: from the shards and a large gallery to verdicts, by the product's own reduce."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import psutil

from distributed.execution.cluster import RayExecutor
from distributed.execution.executor import Capacity, Executor
from distributed.gallery.enrolled import enrolled_gallery
from distributed.membership.assess import KnownPeople, assess
from distributed.stages.passes import Passes
from distributed.stages.results.tables import write_tables
from distributed.storage.store import RunStore
from jobs.benchmarks.table import Bar, Measured, Report, Table, publish
from jobs.benchmarks.worlds.simulated import RECOGNIZER, Simulator, World, world_spec, write_world
from jobs.cli.exit_codes import ExitCode
from schemas.events import WorkEvent
from schemas.fingerprint import Fingerprint
from schemas.run.artefacts import GALLERY_FILE
from schemas.run.shard import ShardReport
from schemas.spec.audit import AuditSpec
from schemas.wording import format_seconds

MOST_SECONDS, MOST_GIGABYTES, DRIVER_BAR, GROWTH_BAR = 120.0, 2.0, 0.15, 11.0
"""Of 100,000 candidates of two photos, a cohort of 5,000 and 20,000 samples of 128 numbers, on two cores."""
GIGA = 1e9
SAMPLED_EVERY = 0.2
SHARD_SAMPLES = 1024


@dataclass(frozen=True)
class GallerySizes:
    """What is reduced. candidates and cohort: people, each with `photos`; dim: numbers of a template."""

    candidates: int
    cohort: int
    photos: int
    samples: int
    dim: int

    @property
    def name(self) -> str:
        return (
            f"{self.candidates:,} candidates × {self.photos} photos, cohort {self.cohort:,}, "
            f"{self.samples:,} samples of {self.dim}"
        )

    def tenth(self) -> GallerySizes:
        """A tenth of the people."""
        return GallerySizes(
            max(1, self.candidates // 10), max(3, self.cohort // 10), self.photos, self.samples, self.dim
        )


@dataclass(frozen=True)
class Spent:
    """seconds: from the shards and the gallery to the tables. driver, workers: CPU seconds of this process
    and of the others; memory: the most that one process held, bytes; silence: the longest time without a
    report of work; judging: from the end of the search to the tables."""

    seconds: float
    driver: float
    workers: float
    memory: int
    silence: float
    judging: float

    @property
    def driver_share(self) -> float:
        return self.driver / (self.driver + self.workers)


def bench_gallery(sizes: GallerySizes, repeats: int, output: Path | None, command: Sequence[str]) -> ExitCode:
    """Reduce a simulated run of these sizes, and one of a tenth of the people. FAILED if a bar is missed."""
    spent: dict[str, list[Spent]] = {}
    with TemporaryDirectory(prefix="idleak-bench-") as folder, RayExecutor() as executor:
        both = [sizes.tenth(), sizes]
        specs = [_write(of, Path(folder) / str(place)) for place, of in enumerate(both)]
        for _ in range(repeats):
            for of, spec in zip(both, specs, strict=True):
                spent.setdefault(of.name, []).append(_reduce(spec, executor))
    small, large = spent.values()
    growth = [a.seconds / b.seconds for a, b in zip(large, small, strict=True)]
    bars = [
        Bar(f"{sizes.name}: seconds", Measured([of.seconds for of in large]), MOST_SECONDS, True),
        Bar("largest process, GB", Measured([of.memory / GIGA for of in large]), MOST_GIGABYTES, True),
        Bar(
            "the driver's share of all CPU time",
            Measured([of.driver_share for of in large]),
            DRIVER_BAR,
            True,
        ),
        Bar("seconds ÷ those with a tenth of the people", Measured(growth), GROWTH_BAR, True),
    ]
    return publish(Report(command, repeats, [_table(spent)], bars, NOTES), output)


NOTES = [
    "Simulated people and samples, written as a run's files, reduced as `idleak reduce` does: gallery,"
    " mean sample, search, scores, p-values, verdicts, hits, tables. Embedding and the report"
    " are not in it.",
    "The workers are Ray's, one thread each, as many as cores. CPU seconds of workers are those of all"
    " other processes that this one has started, Ray's own among them.",
]


def _write(sizes: GallerySizes, folder: Path) -> AuditSpec:
    world = World(
        1,
        candidates=sizes.candidates,
        cohort=sizes.cohort,
        samples=sizes.samples,
        dimension=sizes.dim,
        photos=(sizes.photos, sizes.photos),
        leaked=min(50, sizes.candidates),
        rate=0.005,
    )
    folder.mkdir()
    spec = world_spec(world, folder).model_copy(update={"shard_size": SHARD_SAMPLES})
    simulator = Simulator(world)
    write_world(spec, simulator, simulator.draw())
    return spec


def _reduce(spec: AuditSpec, executor: Executor) -> Spent:
    store, watch, driver = RunStore(spec.output), _Watch(), psutil.Process()
    with _Others() as others:
        before, start = _cpu(driver), time.perf_counter()
        gallery = enrolled_gallery(store.read_table(GALLERY_FILE), [RECOGNIZER])
        passes = Passes(spec, store, executor, lambda: nullcontext(watch))
        assessment = assess(spec, KnownPeople(gallery), passes, observer=watch)
        write_tables(spec, assessment, Fingerprint({}), store)
        seconds, cpu = time.perf_counter() - start, _cpu(driver) - before
    watch.heard()
    assert assessment.judgements[0].flagged().size == len(assessment.frame.candidates)
    memory = max(others.memory, others.own_memory)
    return Spent(seconds, cpu, others.cpu, memory, watch.silence, watch.last - watch.begun)


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


@dataclass
class _Watch:
    """An observer that notes the longest time without a report, and when what is counted last was begun."""

    last: float = field(default_factory=time.perf_counter)
    begun: float = 0.0
    silence: float = 0.0

    def begin(self, done: int, todo: int, capacity: Capacity | None = None) -> None:
        self.heard()
        self.begun = self.last

    def report(self, report: ShardReport) -> None:
        self.heard()

    def heard(self) -> None:
        now = time.perf_counter()
        self.silence, self.last = max(self.silence, now - self.last), now

    def event(self, event: WorkEvent) -> None:
        return None


class _Others:
    """CPU seconds of the processes that this one has started, and the most memory that one held."""

    def __init__(self) -> None:
        self._end, self._thread = threading.Event(), threading.Thread(target=self._look, daemon=True)
        self._first: dict[int, float] = {}
        self._latest: dict[int, float] = {}
        self.memory = self.own_memory = 0

    def __enter__(self) -> _Others:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    @property
    def cpu(self) -> float:
        return sum(self._latest[pid] - first for pid, first in self._first.items())

    def _look(self) -> None:
        own = psutil.Process(os.getpid())
        started = time.time()
        while True:
            self.own_memory = max(self.own_memory, own.memory_info().rss)
            for process in own.children(recursive=True):
                try:
                    # Who has started since has done all its work since.
                    known = _cpu(process) if process.create_time() < started else 0.0
                    self._first.setdefault(process.pid, known)
                    self._latest[process.pid] = _cpu(process)
                    self.memory = max(self.memory, process.memory_info().rss)
                except psutil.Error:
                    continue
            if self._end.wait(SAMPLED_EVERY):
                return


def _table(spent: dict[str, list[Spent]]) -> Table:
    rows = [
        (
            name,
            str(Measured([of.seconds for of in runs])),
            str(Measured([of.driver for of in runs])),
            str(Measured([of.workers for of in runs])),
            str(Measured([of.memory / GIGA for of in runs])),
            str(Measured([of.silence for of in runs])),
            format_seconds(float(np.median([of.judging for of in runs]))),
        )
        for name, runs in spent.items()
    ]
    columns = ("what", "seconds", "driver's CPU s", "workers' CPU s", "GB", "longest silence s", "judging")
    return Table("From shards and gallery to verdicts", columns, rows)
