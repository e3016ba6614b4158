"""`shard_size: auto`: about a minute of work, settled once, and the samples are those of any other size."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from distributed.execution.executor import Capacity
from distributed.execution.local import LocalExecutor
from distributed.stages.making.device_embedder import DeviceEmbedder
from distributed.stages.making.embedder import EmbeddedShard, ShardEmbedder
from distributed.stages.making.maker import ShardJob
from distributed.stages.making.rate import samples_per_second
from distributed.stages.planning.shard_size import settle_shards, shard_size
from distributed.storage.run_record import with_recorded_shards
from distributed.storage.store import open_run
from jobs.__main__ import main
from jobs.cli.exit_codes import ExitCode
from schemas.run.shard import Shard
from schemas.spec.resources import LimitsSpec
from tests.support.small_world import SmallWorld, file_bytes


@pytest.mark.parametrize(
    ("samples", "workers", "rate", "size"),
    [
        (10_000_000, 2, 150.0, 9_000),  # a minute
        (100_000_000, 1, 10_750.0, 640_000),
        (1_000_000_000, 8, 20_000.0, 1_000_000),  # what a shard may hold at most
        (1_000_000, 64, 10_750.0, 53_000),  # 16 shards a worker would be 977, less than five seconds
        (100_000, 2, 150.0, 3_100),  # 16 shards a worker
        (40, 2, 150.0, 40),
        (40, 2, 0.2, 1),
    ],
)
def test_a_shard_is_a_minute_of_a_worker_or_less_where_a_run_is_short(
    small_world: SmallWorld, samples: int, workers: int, rate: float, size: int
) -> None:
    spec = small_world.spec(shard_size="auto", samples=samples)
    assert shard_size(spec, Capacity("cpu", workers, 1), rate) == size


def test_a_shard_takes_half_of_what_it_may(small_world: SmallWorld) -> None:
    spec = small_world.spec(shard_size="auto", samples=10_000_000, limits={"shard_seconds": 40})
    assert spec.limits == LimitsSpec(shard_seconds=40)
    assert shard_size(spec, Capacity("cpu", 1, 1), 100.0) == 2_000


def table_of(run: Path) -> pa.Table:
    shards = sorted((run / "samples").glob("shard-*.parquet"))
    return pa.concat_tables([pq.read_table(shard) for shard in shards]).replace_schema_metadata()


@pytest.mark.usefixtures("in_process")
def test_what_a_probe_has_settled_stays_and_samples_are_those_of_any_size(
    small_world: SmallWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = small_world.spec_path("auto", shard_size="auto")
    run = small_world.folder / "runs" / "auto"
    assert main(["sample", str(spec)]) == ExitCode.OK
    size = json.loads((run / "run.json").read_bytes())["spec"]["shard_size"]
    assert 1 <= size <= 600
    before = file_bytes(run / "samples")

    # Another probe would give another number on another day.
    record = json.loads((run / "run.json").read_bytes())
    store = open_run(small_world.spec("auto", shard_size="auto"))
    assert with_recorded_shards(small_world.spec("auto", shard_size="auto"), store).shard_size == size
    next(iter(sorted((run / "samples").glob("shard-*.parquet")))).unlink()
    assert main(["sample", str(spec)]) == ExitCode.OK
    assert file_bytes(run / "samples") == before
    assert json.loads((run / "run.json").read_bytes()) == record
    assert main(["status", str(run)]) == ExitCode.OK

    assert main(["sample", str(small_world.spec_path("fixed", shard_size=77))]) == ExitCode.OK
    assert table_of(run).equals(table_of(small_world.folder / "runs" / "fixed"))


@pytest.mark.usefixtures("in_process")
def test_without_samples_there_is_nothing_to_reduce(
    small_world: SmallWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["reduce", str(small_world.spec_path(shard_size="auto"))]) == ExitCode.BAD_SPEC
    assert "shard_size is auto and" in capsys.readouterr().err


def test_a_number_is_left_alone(small_world: SmallWorld) -> None:
    spec = small_world.spec(shard_size=100)
    assert settle_shards(spec, open_run(spec), LocalExecutor()) is spec


@pytest.mark.parametrize("on_device", [False, True])
def test_the_rate_is_of_more_than_a_batch_wherever_the_images_are(
    small_world: SmallWorld, monkeypatch: pytest.MonkeyPatch, on_device: bool
) -> None:
    job = ShardJob(small_world.spec(), "cpu", 1, fingerprint={}, prefix="samples")
    host = ShardEmbedder(job)
    embedder = DeviceEmbedder(job, host, 8) if on_device else host
    rows: list[int] = []
    embed = embedder.embed

    def noted(shard: Shard) -> EmbeddedShard:
        rows.append(shard.rows)
        return embed(shard)

    monkeypatch.setattr(embedder, "embed", noted)
    assert samples_per_second(embedder, 600) > 0
    assert rows[0] == embedder.images_at_once and rows[-1] > rows[0]
