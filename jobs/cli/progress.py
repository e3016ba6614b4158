"""Progress of long work: a bar on a terminal, plain lines elsewhere. On stderr."""

from __future__ import annotations

import hashlib
import logging
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from distributed.execution.capacity import Capacity
from distributed.storage.progress_record import ProgressRecord
from distributed.storage.store import RunStore
from jobs.cli.log import is_json, tell
from schemas.errors import StoreError
from schemas.events import EventKind, WorkEvent
from schemas.run.progress import StageProgress
from schemas.run.shard import BATCH_IMAGES, ShardReport
from schemas.spec.audit import AuditSpec
from schemas.wording import format_seconds, format_shares

PLAIN_SECONDS = 10.0


class ProgressBar:
    """Counts `total` units of `title`; shows done, rate and time left. A context manager.

    Without a terminal a line is written every PLAIN_SECONDS, also while nothing gets done.
    """

    def __init__(
        self, title: str, total: int, unit: str, fields: Mapping[str, Any], *, drawn: bool = True
    ) -> None:
        """drawn: if there is a terminal."""
        self._title, self._total, self._unit, self._fields = title, total, unit, fields
        self._done, self._note, self._all_told = 0, "", False
        self._start = self._shown = time.monotonic()
        self._bar = _bar(title, total) if drawn and sys.stderr.isatty() and not is_json() else None
        self._lock, self._end = threading.Lock(), threading.Event()
        self._clock = threading.Thread(target=self._keep_telling, name="progress", daemon=True)

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        else:
            self._clock.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
        else:
            self._end.set()
            self._clock.join()

    def _keep_telling(self) -> None:
        while not self._end.wait(PLAIN_SECONDS / 10):
            with self._lock:
                if time.monotonic() - self._shown >= PLAIN_SECONDS:
                    self._tell()

    def advance(self, count: int, note: str = "") -> None:
        """Say that `count` more units are done, and a note."""
        with self._lock:
            self._done, self._note = self._done + count, note
            if self._bar is not None:
                task, rate = self._bar.task_ids[0], f"{self._rate():,.1f} {self._unit}/s"
                self._bar.update(task, advance=count, rate=rate, note=note)
            elif self._done >= self._total or time.monotonic() - self._shown >= PLAIN_SECONDS:
                self._tell()

    def _rate(self) -> float:
        return self._done / max(1e-9, time.monotonic() - self._start)

    def _tell(self) -> None:
        ended, self._all_told = self._all_told, self._done >= self._total
        self._shown, rate = time.monotonic(), self._rate()
        left = (self._total - self._done) / rate if rate else None
        fields = {"done": self._done, "total": self._total, "rate": rate, "seconds_left": left}
        line = self._judging() if ended else self._line(rate, left)
        tell("progress", "; ".join(filter(None, [line, self._note])), **fields, **self._fields)

    def _judging(self) -> str:
        """All is done, and this was said: what comes after it has no count."""
        return (
            f"{self._title}: all {self._total:,} {self._unit} are done; putting the results together, "
            f"{format_seconds(time.monotonic() - self._start)} so far"
        )

    def _line(self, rate: float, left: float | None) -> str:
        done = f"{self._title}: {self._done:,} of {self._total:,} {self._unit}"
        if left is None:
            return f"{done}, {format_seconds(time.monotonic() - self._start)} so far"
        return f"{done}, {rate:,.1f} {self._unit}/s, {format_seconds(left)} left"


def _bar(title: str, total: int) -> Progress:
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=Console(stderr=True),
    )
    progress.add_task(title, total=total, rate="", note="")
    return progress


def note(progress: StageProgress) -> str:
    """Where the workers' time goes, and the attempts that failed, if any."""
    failed = progress.tried_again + progress.set_aside
    parts = [format_shares(progress.seconds, most=3), f"{failed:,} attempts failed" if failed else ""]
    return "; ".join(filter(None, parts))


class Stage:
    """What people, logs, metrics and `idleak status` are told of a stage of a run. A context manager."""

    def __init__(
        self, title: str, store: RunStore, spec: AuditSpec, unit: str = "images", *, bar: bool = True
    ) -> None:
        """bar: progress may be drawn on a terminal."""
        # Ray's, which a command that only looks at a run does without.
        from distributed.execution.metrics import RunMetrics

        self._title, self._store, self._unit, self._is_drawn = title, store, unit, bar
        run = hashlib.sha256(store.location.encode()).hexdigest()[:12]
        self._fields = {"run": run, "stage": title}
        recognizers = [recognizer.name for recognizer in spec.faces.recognizers]
        self._metrics = RunMetrics(run, title, spec.generator.kind, recognizers)
        self._stack = ExitStack()
        self._bar: ProgressBar | None = None
        self._record: ProgressRecord | None = None
        self._most_workers = 0
        self._picked: dict[str, int] = {}
        self._images_at_once = BATCH_IMAGES

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()
        if self._record is not None:
            self._metrics.end()
            if not isinstance(error, StoreError):
                self._record.end()

    def begin(self, done: int, todo: int, capacity: Capacity | None = None) -> None:
        """There is work, of `todo` units, and `done` are there already. Begins anew with each pass."""
        self._stack.close()
        if capacity is not None:
            self._most_workers = capacity.workers
            where = f"{capacity.workers} workers × {capacity.threads} threads on {capacity.device}"
            text = f"{self._title}: {todo:,} {self._unit} to do, {done:,} there already; {where}"
            self._tell("begin", text, todo=todo, there=done, **asdict(capacity))
        bar = ProgressBar(self._title, todo, self._unit, self._fields, drawn=self._is_drawn)
        self._bar = self._stack.enter_context(bar)
        self._record = ProgressRecord(self._store, self._title, done, todo)
        self._metrics.begin(done, todo)

    def report(self, report: ShardReport) -> None:
        assert self._bar is not None and self._record is not None
        for name in report.batches.keys() - self._picked.keys():
            crops = report.batches[name]
            self._tell("batch", f"{self._title}: {name} takes {crops} crops at once", crops=crops)
        self._picked.update(report.batches)
        fewer = report.images_at_once or BATCH_IMAGES
        if fewer < self._images_at_once:
            text = f"{self._title}: memory ran out; {fewer} images at once from now on"
            self._tell("memory_ran_out", text, logging.WARNING, images_at_once=fewer)
            self._images_at_once = fewer
        self._record.add(report)
        self._bar.advance(report.rows, note(self._record.now()))
        self._metrics.report(report)

    def event(self, event: WorkEvent) -> None:
        self._metrics.event(event)
        if self._record is not None:
            self._record.event(event)
        fields = {
            key: value for key, value in asdict(event).items() if value not in ("", -1) and key != "what"
        }
        level = LEVELS.get(event.what, logging.DEBUG)
        if event.what is EventKind.UP and event.workers > self._most_workers:
            level = logging.INFO if self._most_workers else logging.DEBUG
            self._most_workers = event.workers
        self._tell(event.what, f"{self._title}: {_text(event)}", level, **fields)

    def _tell(self, event: str, text: str, level: int = logging.INFO, **fields: Any) -> None:
        tell(event, text, level, **self._fields, **fields)


LEVELS = {
    EventKind.FAILED: logging.WARNING,
    EventKind.MACHINE_LOST: logging.WARNING,
    EventKind.GIVEN_UP: logging.ERROR,
}


def _text(event: WorkEvent) -> str:
    match event.what:
        case EventKind.UP:
            return f"{event.workers} workers now"
        case EventKind.FAILED:
            return f"shard {event.shard} failed ({event.error}), attempt {event.attempts}; it is tried again"
        case EventKind.GIVEN_UP:
            return f"shard {event.shard} failed ({event.error}), attempt {event.attempts}; it is given up"
        case EventKind.MACHINE_LOST:
            return f"a machine was lost; shard {event.shard} is made again elsewhere"
        case EventKind.SPECULATED:
            return f"shard {event.shard} takes long; another worker makes it too"
        case EventKind.DONE:
            return f"shard {event.shard} is done"
