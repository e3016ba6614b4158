"""`progress.json`: how far a run is, written beside its files for `idleak status`."""

from __future__ import annotations

import logging
import time
from collections import Counter, defaultdict

from distributed.storage.store import RunStore
from schemas.errors import StoreError
from schemas.events import EventKind, WorkEvent
from schemas.run.artefacts import PROGRESS_FILE
from schemas.run.progress import StageProgress
from schemas.run.shard import ShardReport

LOG = logging.getLogger(__name__)
WRITE_SECONDS = 5.0


class ProgressRecord:
    """Counts the reports of a stage, and writes them down now and then, and at its end."""

    def __init__(self, store: RunStore, stage: str, there: int, todo: int) -> None:
        self._store, self._stage, self._there, self._todo = store, stage, there, todo
        self._started, self._done = time.time(), 0
        self._outcomes: Counter[str] = Counter()
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._what: Counter[EventKind] = Counter()
        self._workers = 0
        self._write()

    def event(self, event: WorkEvent) -> None:
        self._workers = event.workers
        self._what[event.what] += 1
        self._write_now_and_then()

    def end(self, error: BaseException | None = None) -> None:
        """Write down what came after the last report too: failed attempts and failed shards.

        error: what the stage ends with; nothing is written where the store is at fault.
        """
        self._workers = 0
        if not isinstance(error, StoreError):
            self._write()

    def add(self, report: ShardReport) -> None:
        self._done += report.rows
        self._outcomes.update(report.outcomes)
        for name, spent in report.seconds.items():
            self._seconds[name] += spent
        self._write_now_and_then()

    def _write_now_and_then(self) -> None:
        if time.monotonic() - self._written >= WRITE_SECONDS:
            self._write()

    def _write(self) -> None:
        """A look from outside is not worth a run: what cannot be written is told and passed over."""
        self._written = time.monotonic()
        try:
            self._store.write(PROGRESS_FILE, self.now().model_dump_json(indent=2).encode())
        except StoreError as error:
            LOG.warning("%s", error)

    def now(self) -> StageProgress:
        """All that is known so far."""
        return StageProgress(
            stage=self._stage,
            started=self._started,
            updated=time.time(),
            there=self._there,
            todo=self._todo,
            done=self._done,
            outcomes=dict(self._outcomes),
            seconds=dict(self._seconds),
            workers=self._workers,
            tried_again=self._what[EventKind.FAILED] + self._what[EventKind.MACHINE_LOST],
            set_aside=self._what[EventKind.GIVEN_UP],
        )


def read_progress(store: RunStore) -> StageProgress | None:
    """None if no stage has begun. Raises DamagedError."""
    there = store.exists(PROGRESS_FILE)
    return store.read_model(StageProgress, PROGRESS_FILE, "cannot be read: delete it") if there else None
