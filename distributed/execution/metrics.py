"""Counts and times of a run as metrics of Ray, which hands them on with `ray_` before their names."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from ray.util.metrics import Counter, Gauge, Histogram

from schemas.events import EventKind, WorkEvent
from schemas.run.shard import ShardReport

TAGS = ("run", "stage", "generator", "recognizers")
SECONDS = [0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0]


@cache
def _instruments() -> dict[str, Counter | Gauge | Histogram]:
    """Made once in a process, and only where there is a Ray to take them."""
    made: list[Counter | Gauge | Histogram] = [
        Counter("idleak_tasks", "shards by what became of an attempt", (*TAGS, "what")),
        Counter("idleak_images", "images by outcome", (*TAGS, "outcome")),
        Counter("idleak_written_bytes", "bytes of committed shards", TAGS),
        Gauge(
            "idleak_progress_ratio", "share of a stage's images, or of a pass's samples, that is done", TAGS
        ),
        Gauge("idleak_workers", "workers that are up", TAGS),
        Gauge("idleak_tasks_left", "shards that no worker has begun", TAGS),
        Gauge(
            "idleak_images_at_once", "images that a worker takes at once, fewer where memory ran out", TAGS
        ),
        Gauge("idleak_crops_at_once", "crops that a recogniser takes at once", (*TAGS, "recognizer")),
        Histogram("idleak_task_seconds", "of a shard, from its start to its end", SECONDS, TAGS),
        Histogram("idleak_step_seconds", "of a step of a shard's work", SECONDS, (*TAGS, "step")),
    ]
    return {instrument.info["name"]: instrument for instrument in made}


class RunMetrics:
    """The metrics of one stage of one run. run: a digest. None of the tags is a person's or a file's name."""

    def __init__(self, run: str, stage: str, generator: str, recognizers: Sequence[str]) -> None:
        tags = (run, stage, generator, "+".join(recognizers))
        self._tags = dict(zip(TAGS, tags, strict=True))
        self._done = self._planned = 0

    def begin(self, done: int, todo: int) -> None:
        """Of the stage's images, or of the samples of another pass over them."""
        self._done, self._planned = done, done + todo
        self._set("idleak_progress_ratio", done / self._planned)

    def event(self, event: WorkEvent) -> None:
        if event.what is not EventKind.UP:
            self._count("idleak_tasks", 1, what=event.what)
        if event.what is EventKind.DONE:
            self._observe("idleak_task_seconds", event.seconds)
        self._set("idleak_workers", event.workers)
        self._set("idleak_tasks_left", event.left)

    def report(self, report: ShardReport) -> None:
        self._done += report.rows
        self._set("idleak_progress_ratio", self._done / self._planned)
        for outcome, count in report.outcomes.items():
            self._count("idleak_images", count, outcome=outcome)
        self._count("idleak_written_bytes", report.bytes_written)
        for step, seconds in report.seconds.items():
            self._observe("idleak_step_seconds", seconds, step=step)
        for recognizer, crops in report.batches.items():
            self._set("idleak_crops_at_once", crops, recognizer=recognizer)
        if report.images_at_once is not None:
            self._set("idleak_images_at_once", report.images_at_once)

    def end(self) -> None:
        """Nobody works on the stage any more."""
        self._set("idleak_workers", 0)

    def _count(self, name: str, value: float, **tags: str) -> None:
        instrument = _instruments()[name]
        assert isinstance(instrument, Counter)
        # Ray refuses to count nothing.
        if value > 0:
            instrument.inc(value, self._tags | tags)

    def _set(self, name: str, value: float, **tags: str) -> None:
        instrument = _instruments()[name]
        assert isinstance(instrument, Gauge)
        instrument.set(value, self._tags | tags)

    def _observe(self, name: str, value: float, **tags: str) -> None:
        instrument = _instruments()[name]
        assert isinstance(instrument, Histogram)
        instrument.observe(value, self._tags | tags)
