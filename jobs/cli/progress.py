"""What people, logs, metrics and `idleak status` are told of long work."""

from __future__ import annotations

import hashlib
import logging
from contextlib import ExitStack
from dataclasses import asdict
from types import TracebackType
from typing import Any, Self

from distributed.execution.executor import Capacity
from distributed.storage.progress_record import ProgressRecord
from distributed.storage.store import RunStore
from jobs.cli.log import tell
from jobs.cli.progress_bar import ProgressBar, note
from schemas.events import EventKind, WorkEvent
from schemas.run.shard import BATCH_IMAGES, ShardReport
from schemas.spec.audit import AuditSpec


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
            self._record.end(error)

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
