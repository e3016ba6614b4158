"""Machines as Ray sees them, on this one: some join a run, some are killed. The run is in a bucket."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from distributed.execution.cluster import WITHOUT_TOKEN
from distributed.storage.store import RunStore
from jobs.__main__ import main
from jobs.cli.exit_codes import ExitCode
from tests.support.flaky_store import proxy
from tests.support.processes import ROOT, finish, inherited_environment
from tests.support.small_world import SmallWorld, file_bytes

SHARDS = 36
PLAN: dict[str, Any] = {
    "samples": SHARDS * 100,
    "shard_size": 100,
    "resources": {"device": "cpu", "workers": "auto", "threads_per_worker": 1},
}
CLUSTER = """
import sys
import ray
from ray._private.state import state
from ray.cluster_utils import Cluster

cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
nodes = [cluster.add_node(num_cpus=1)]
ray.init(cluster.address, log_to_driver=False)
print(cluster.address, flush=True)
for line in sys.stdin:
    command = line.strip()
    if command == "add":
        nodes.append(cluster.add_node(num_cpus=1))
    if command == "kill":
        cluster.remove_node(nodes[0], allow_graceful=False)
    at_work = {actor["Address"]["NodeID"] for actor in state.actor_table(None).values()}
    print(len(nodes) > 1 and nodes[1].node_id in at_work, flush=True)
ray.shutdown()
cluster.shutdown()
"""
AUDIT = """
import sys
from distributed.execution.ray_actors import RayActors
from distributed.execution.schedule import NodeLostError
from jobs.__main__ import main

result = RayActors.result

def noting(self, handle):
    try:
        return result(self, handle)
    except NodeLostError:
        print("a lost machine", flush=True)
        raise

RayActors.result = noting
sys.exit(main(["audit", sys.argv[1]]))
"""


class Machines:
    """A cluster of two machines with a CPU each, in a process of its own. A context manager.

    It has none of idleak's settings: its user, whose home is `home`, lets onnxruntime call home.
    """

    def __init__(self, home: Path) -> None:
        self._home = home

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-c", CLUSTER],
            env=inherited_environment() | {"ORT_DISABLE_TELEMETRY": "0", "HOME": str(self._home)},
            cwd=ROOT,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self.address = self._answer()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate(timeout=60)

    def tell(self, command: str) -> bool:
        """`add` a third machine, `kill` the second, or `look`: does the third work?"""
        assert self._process.stdin is not None
        print(command, file=self._process.stdin, flush=True)
        return self._answer() == "True"

    def _answer(self) -> str:
        assert self._process.stdout is not None
        answer = self._process.stdout.readline().strip()
        assert answer, "the cluster is gone"
        return answer


@pytest.fixture
def slow_bucket(bucket: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A shard takes a second to be written: time for machines to come and go."""

    def fault(method: str, path: str, number: int) -> str | None:
        return "slow" if method == "PUT" and "/samples/" in path else None

    with proxy(os.environ["AWS_ENDPOINT_URL"], fault) as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        yield bucket


def wait_until(audit: subprocess.Popen[str], done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not done():
        if audit.poll() is not None or time.monotonic() > deadline:
            audit.kill()
            raise AssertionError(audit.communicate()[0])
        time.sleep(0.1)


def shards_in(store: RunStore) -> list[str]:
    return [path for path in store.sizes("samples/") if path.endswith(".parquet")]


@pytest.mark.slow
def test_a_machine_that_joins_is_used_and_one_that_is_killed_costs_nothing(
    small_world: SmallWorld, finished_template: SmallWorld, slow_bucket: str, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    spec = small_world.spec_path("shaken", output=slow_bucket, **PLAN)
    store = RunStore(slow_bucket)
    with Machines(home) as machines:
        audit = subprocess.Popen(
            [sys.executable, "-c", AUDIT, str(spec)],
            env=inherited_environment() | {"RAY_ADDRESS": machines.address, WITHOUT_TOKEN: "1"},
            cwd=ROOT,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        wait_until(audit, lambda: len(shards_in(store)) > 3)
        machines.tell("add")
        wait_until(audit, lambda: machines.tell("look"))
        there = len(shards_in(store))
        wait_until(audit, lambda: len(shards_in(store)) > there + 2)
        machines.tell("kill")
        left = SHARDS - len(shards_in(store))
        code, output = finish(audit)
    assert code == ExitCode.OK, output
    assert left > 3 and "2 workers ×" in output and "sampling: 3 workers now" in output, output
    assert output.count("a lost machine") == 1, output
    # Where CI is known as such, onnxruntime writes none in any case.
    assert not list(home.rglob("*onnxruntime*")), "a worker has left an identifier of its machine"
    shards = {path: store.read(path) for path in shards_in(store)}
    assert len(shards) == SHARDS and "samples.lost.json" not in store.sizes()
    ids = [pq.read_table(pa.BufferReader(data))["sample_id"].to_numpy() for data in shards.values()]
    assert np.array_equal(np.sort(np.concatenate(ids)), np.arange(SHARDS * 100))
    clean = file_bytes(finished_template.run, "samples/*.parquet")
    assert clean and all(shards[path] == data for path, data in clean.items())
    assert main(["verify", slow_bucket]) == ExitCode.OK
