"""Progress of long work: a bar on a terminal, plain lines elsewhere. On stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from distributed.cluster import Capacity, Cluster
from distributed.progress_record import ProgressRecord
from distributed.shard_index import ShardRun
from distributed.shard_maker import BATCH_IMAGES
from distributed.shard_run import ShardsMade, make_missing
from distributed.store import RunStore
from schemas.shard import ShardReport

PLAIN_SECONDS = 10.0


class ProgressBar:
    """Counts `total` units of `title`; shows done, rate and time left. A context manager."""

    def __init__(self, title: str, total: int, unit: str) -> None:
        self._title, self._total, self._unit = title, total, unit
        self._done = 0
        self._start = self._shown = time.monotonic()
        self._bar = _bar(title, total) if sys.stderr.isatty() else None

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def advance(self, count: int) -> None:
        """Say that `count` more units are done."""
        self._done += count
        rate = self._done / max(1e-9, time.monotonic() - self._start)
        if self._bar is not None:
            task = self._bar.task_ids[0]
            self._bar.update(task, advance=count, rate=f"{rate:,.1f} {self._unit}/s")
            return
        if self._done >= self._total or time.monotonic() - self._shown >= PLAIN_SECONDS:
            self._shown = time.monotonic()
            print(self._line(rate), file=sys.stderr, flush=True)

    def _line(self, rate: float) -> str:
        left = format_seconds((self._total - self._done) / rate)
        return (
            f"{self._title}: {self._done:,} of {self._total:,} {self._unit}, "
            f"{rate:,.1f} {self._unit}/s, {left} left"
        )


def _bar(title: str, total: int) -> Progress:
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )
    progress.add_task(title, total=total, rate="")
    return progress


def format_seconds(seconds: float) -> str:
    """`42 s`, `3 min 20 s`, `5 h 12 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def make_with_progress(
    title: str,
    run: ShardRun,
    store: RunStore,
    cluster: Cluster,
    on_report: Callable[[ShardReport], None] = lambda report: None,
) -> ShardsMade:
    """Make a run's missing shards, and show how that goes."""
    with ExitStack() as stack:
        bars: list[ProgressBar] = []
        most: list[int] = []
        records: list[ProgressRecord] = []

        def announce(done: int, todo: int, capacity: Capacity) -> None:
            print(
                f"{title}: {todo:,} images to do, {done:,} there already; {capacity.workers} workers × "
                f"{capacity.threads} threads on {capacity.device}",
                file=sys.stderr,
            )
            most.append(capacity.workers)
            bars.append(stack.enter_context(ProgressBar(title, todo, "images")))
            records.append(ProgressRecord(store, title, done, todo))

        picked: dict[str, int] = {}
        least = [BATCH_IMAGES]

        def advance(report: ShardReport) -> None:
            for name in report.batches.keys() - picked.keys():
                print(f"{title}: {name} takes {report.batches[name]} crops at once", file=sys.stderr)
            picked.update(report.batches)
            least.append(report.images_at_once or BATCH_IMAGES)
            if least[-1] < min(least[:-1]):
                print(f"{title}: memory ran out; {least[-1]} images at once from now on", file=sys.stderr)
            bars[0].advance(report.rows)
            records[0].add(report)
            on_report(report)

        def more(workers: int) -> None:
            if workers > max(most):
                print(f"{title}: {workers} workers now", file=sys.stderr)
            most.append(workers)

        return make_missing(run, store, cluster, advance, announce, more)
