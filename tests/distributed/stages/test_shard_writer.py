"""A shard is committed by a thread while the next one is made: the same bytes, and errors of its own."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from distributed.execution.local import LocalExecutor
from distributed.stages.making.embedder import EmbeddedShard, ShardEmbedder
from distributed.stages.making.maker import ShardJob, ShardMaker
from schemas.errors import InvalidSamplesError, StoppedError, StoreError
from schemas.run.shard import Shard, ShardReport, plan_shards
from schemas.spec.load import load_spec
from tests.support.small_world import SmallWorld, file_bytes

SHARDS = plan_shards(60, 20)
SECONDS = 20.0


class Heralded(ShardEmbedder):
    """Says before each shard that it is about to be made."""

    def __init__(self, job: ShardJob, begun: Sequence[threading.Event]) -> None:
        super().__init__(job)
        self._begun = begun

    def embed(self, shard: Shard) -> EmbeddedShard:
        self._begun[shard.index].set()
        return super().embed(shard)


def job_of(world: SmallWorld, output: Path, **changes: Any) -> ShardJob:
    plain = {"output": str(output), "protection": {"encrypt": False}}
    return ShardJob(load_spec(world.spec_path(**plain | changes)), "cpu", 1, fingerprint={}, prefix="samples")


def test_the_next_shard_is_made_while_the_one_before_is_written(
    small_world: SmallWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = job_of(small_world, tmp_path / "together")
    begun = [threading.Event() for _ in SHARDS]
    maker = ShardMaker(job, Heralded(job, begun))
    write = maker._store.write_table
    waited: list[bool] = []

    def write_late(*arguments: Any) -> int:
        waited.append(begun[1].wait(SECONDS))
        return write(*arguments)

    monkeypatch.setattr(maker._store, "write_table", write_late)
    first, second, third = map(maker.start, SHARDS)
    assert waited[0] and first.done() and second.done(), "one shard at most is not committed"
    assert [report.result().rows for report in (first, second, third)] == [20, 20, 20]

    alone = ShardMaker(job_of(small_world, tmp_path / "alone"))
    for shard in SHARDS:
        alone.make(shard)
    assert file_bytes(tmp_path / "together") == file_bytes(tmp_path / "alone")


def test_what_fails_of_the_writing_fails_its_own_shard(small_world: SmallWorld, tmp_path: Path) -> None:
    job = job_of(small_world, tmp_path / "run")
    # A folder where the second shard's file should be.
    (tmp_path / "run" / "samples" / SHARDS[1].file_name / "in the way").mkdir(parents=True)
    first, second, third = map(ShardMaker(job).start, SHARDS)
    assert first.result().index == 0 and third.result().index == 2
    with pytest.raises(StoreError, match=r"shard-000001\.parquet"):
        second.result()


class Reports:
    """An observer that keeps the reports."""

    def __init__(self) -> None:
        self.indices: list[int] = []

    def begin(self, *_: object) -> None:
        """Nothing is shown."""

    def event(self, _: object) -> None:
        """Nothing is shown."""

    def report(self, report: ShardReport) -> None:
        self.indices.append(report.index)


def test_here_a_failed_write_ends_the_run_and_what_is_committed_is_reported(
    small_world: SmallWorld, tmp_path: Path
) -> None:
    (tmp_path / "run" / "samples" / SHARDS[1].file_name / "in the way").mkdir(parents=True)
    reports = Reports()
    with pytest.raises(StoreError, match=r"shard-000001\.parquet"):
        LocalExecutor().run(job_of(small_world, tmp_path / "run"), SHARDS, reports)
    assert reports.indices == [0, 2]


class Refuses(Reports):
    """Wants no report but the first, as an observer that has seen too many invalid samples."""

    def report(self, report: ShardReport) -> None:
        super().report(report)
        if report.index:
            raise InvalidSamplesError(f"no more after shard {report.index}")


def test_an_observer_that_refuses_a_report_gets_no_other_and_nothing_is_half_written(
    small_world: SmallWorld, tmp_path: Path
) -> None:
    tasks, reports = plan_shards(120, 20), Refuses()
    with pytest.raises(InvalidSamplesError, match="no more after shard 1"):
        LocalExecutor().run(job_of(small_world, tmp_path / "run"), tasks, reports)
    assert reports.indices == [0, 1]
    there = len(file_bytes(tmp_path / "run"))
    assert 2 <= there < len(tasks) and not list((tmp_path / "run").rglob("*.partial"))


def test_a_stop_reports_what_is_written_then_says_what_is_left(
    small_world: SmallWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reports, asked = Reports(), iter([False, False, True])
    monkeypatch.setattr("distributed.execution.local.stop_requested", lambda: next(asked))
    with pytest.raises(StoppedError, match="stopped with 1 shards to do"):
        LocalExecutor().run(job_of(small_world, tmp_path / "run"), SHARDS, reports)
    assert reports.indices == [0, 1] and len(file_bytes(tmp_path / "run")) == 2
