"""A run of many shards on a store that takes its time for every request."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import boto3
import pyarrow as pa
import pytest

from distributed.stages.fingerprints import sampling_fingerprint
from distributed.storage.shard_index import ShardRun, committed_outcomes
from distributed.storage.store import RunStore, encode_table
from schemas.run.artefacts import SAMPLES_PREFIX
from schemas.run.shard import Footer, TemplateSum, plan_shards
from tests.support.slow_store import near_and_far
from tests.support.small_world import SmallWorld

REQUEST_SECONDS = 0.02
DIM = 512


def written(run: ShardRun, endpoint: str) -> None:
    """Shards of a row each, with the footers of shards of templates of 512 numbers, in a new bucket."""
    client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1")
    client.create_bucket(Bucket="audits")
    sums = {"tiny": TemplateSum(count=1, sum=tuple(range(DIM)))}

    def put(place: int) -> None:
        shard = run.shards[place]
        footer = Footer(
            table="samples",
            fingerprint=dict(run.fingerprint.fields),
            first_id=shard.first_id,
            stop_id=shard.stop_id,
            rows=shard.rows,
            outcomes={"ok": shard.rows},
            template_sums=sums,
        )
        table = pa.table({"sample_id": shard.ids})
        client.put_object(Bucket="audits", Key=f"run/{run.path(shard)}", Body=encode_table(table, footer))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(put, range(len(run.shards))))


@pytest.mark.slow
def test_what_is_there_of_10_000_shards_is_known_in_under_a_minute(
    small_world: SmallWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    shards, names = 10_000, ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    settings = dict.fromkeys(names, "nobody") | {"AWS_ALLOW_HTTP": "true", "AWS_REGION": "us-east-1"}
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    spec = small_world.spec(samples=shards, shard_size=1)
    run = ShardRun(spec, sampling_fingerprint(spec), SAMPLES_PREFIX, plan_shards(shards, 1))
    with near_and_far(REQUEST_SECONDS) as (near, far):
        written(run, near)
        monkeypatch.setenv("AWS_ENDPOINT_URL", far)
        store, start = RunStore("s3://audits/run"), time.perf_counter()
        outcomes = committed_outcomes(run, store)
        seconds = time.perf_counter() - start
    assert outcomes == {shard.index: {"ok": 1} for shard in run.shards}
    print(f"{shards:,} footers in {seconds:.1f} s")
    assert seconds < 60
