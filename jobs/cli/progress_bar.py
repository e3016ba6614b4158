"""A bar on a terminal, plain lines elsewhere. On stderr."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from jobs.cli.log import is_json, tell
from schemas.run.progress import StageProgress
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
        self._done, self._note, self._all_shown = 0, "", False
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
        ended, self._all_shown = self._all_shown, self._done >= self._total
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
