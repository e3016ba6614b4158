"""A run that lives in a bucket."""

from __future__ import annotations

import pytest

from distributed.storage.store import RunStore
from jobs.cli.exit_codes import ExitCode
from tests.support.processes import finish, start_job
from tests.support.small_world import SmallWorld, file_bytes


@pytest.mark.slow
def test_a_run_in_a_bucket_has_the_bytes_of_a_local_one(small_world: SmallWorld, bucket: str) -> None:
    assert finish(start_job("audit", small_world.spec_path("local")))[0] == ExitCode.OK
    code, output = finish(start_job("audit", small_world.spec_path("remote", output=bucket)))
    assert code == ExitCode.OK, output
    store = RunStore(bucket)
    remote = {path: store.read(path) for path in store.sizes() if path.endswith(".parquet")}
    assert remote == file_bytes(small_world.folder / "runs" / "local")
    assert "run.lock" not in store.sizes()
    code, output = finish(start_job("verify", bucket))
    assert code == ExitCode.OK, output
