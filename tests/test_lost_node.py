"""A second machine, as Ray sees it, that is killed in mid-run."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from jobs.exit_codes import ExitCode
from tests.processes import ROOT
from tests.small_world import SmallWorld, file_bytes
from tests.test_resume import shards_of

SHARDS = 30
PLAN: dict[str, Any] = {
    "samples": SHARDS * 100,
    "shard_size": 100,
    "resources": {"device": "cpu", "workers": "auto", "threads_per_worker": 1},
}
SCRIPT = """
import os, sys, threading, time
from pathlib import Path
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
from ray.cluster_utils import Cluster
from jobs.__main__ import main

spec, run = sys.argv[1], Path(sys.argv[2])
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
node = cluster.add_node(num_cpus=1)
os.environ["RAY_ADDRESS"] = cluster.address
def kill():
    while len(list((run / "samples").glob("shard-*.parquet"))) < 6:
        time.sleep(0.01)
    cluster.remove_node(node, allow_graceful=False)
    print("removed", flush=True)

threading.Thread(target=kill).start()
code = main(["audit", spec])
cluster.shutdown()
sys.exit(code)
"""


@pytest.mark.slow
def test_a_machine_that_is_killed_costs_no_row(
    small_world: SmallWorld, finished_template: SmallWorld
) -> None:
    spec, run = small_world.spec_path("lost", **PLAN), small_world.folder / "runs" / "lost"
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(spec), str(run)],
        cwd=ROOT,
        text=True,
        capture_output=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == ExitCode.OK, done.stdout + done.stderr
    assert "2 workers" in done.stderr and "removed" in done.stdout
    assert shards_of(run) == SHARDS and not (run / "samples.lost.json").exists()
    clean = file_bytes(finished_template.run / "samples")
    assert {name: file_bytes(run / "samples")[name] for name in clean} == clean
