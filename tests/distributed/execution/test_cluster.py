from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil
import pytest
from pydantic import ValidationError
from ray.exceptions import RaySystemError, RayTaskError

from distributed.execution.capacity import size_pool
from distributed.execution.cluster import WITHOUT_TOKEN, RayExecutor, closed_ray, is_loopback
from distributed.execution.executor import Capacity
from distributed.execution.ray_folder import drop_ray_folder, make_ray_folder
from jobs.cli.exit_codes import ExitCode
from schemas.errors import ClusterError, ClusterLostError, DeviceError, SpecError
from schemas.spec.resources import ResourcesSpec
from tests.support.processes import ROOT, finish, inherited_environment, run_apart, start_job
from tests.support.small_world import SmallWorld

# A Ray cluster separate from the test's own; it ends when its standard input does.
HEAD = """
import sys
from ray.cluster_utils import Cluster
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False})
print(cluster.address, flush=True)
sys.stdin.read()
cluster.shutdown()
"""


def resources(**given: object) -> ResourcesSpec:
    return ResourcesSpec.model_validate(given)


def test_auto_is_one_thread_a_worker_and_all_cores() -> None:
    assert size_pool(resources(), [{"CPU": 16.0}]) == Capacity("cpu", 16, 1)
    assert size_pool(resources(threads_per_worker=3), [{"CPU": 16.0}]) == Capacity("cpu", 5, 3)
    assert size_pool(resources(workers=2), [{"CPU": 16.0}]) == Capacity("cpu", 2, 1)


def test_auto_takes_the_gpus_where_there_are_any() -> None:
    assert size_pool(resources(), [{"CPU": 16.0, "GPU": 4.0}]) == Capacity("cuda", 4, 4)
    assert size_pool(resources(device="cpu"), [{"CPU": 16.0, "GPU": 4.0}]) == Capacity("cpu", 16, 1)


def test_what_the_cluster_has_no_room_for_is_refused() -> None:
    with pytest.raises(SpecError, match="has room for 16: lower"):
        size_pool(resources(workers=17), [{"CPU": 16.0}])
    with pytest.raises(SpecError, match="has room for 0"):
        size_pool(resources(threads_per_worker=32), [{"CPU": 16.0}])
    with pytest.raises(DeviceError, match="no GPU was found"):
        resources(device="cuda").device_with(0)


def test_a_worker_is_on_one_machine() -> None:
    machines = [{"CPU": 3.0}, {"CPU": 3.0}, {"CPU": 8.0, "GPU": 1.0}, {"memory": 1.0}]
    assert size_pool(resources(device="cpu", threads_per_worker=2), machines) == Capacity("cpu", 6, 2)
    assert size_pool(resources(threads_per_worker=2), machines) == Capacity("cuda", 1, 2)


def test_on_cuda_the_cores_of_a_machine_are_divided_by_its_workers() -> None:
    machines = [{"CPU": 32.0, "GPU": 4.0}, {"CPU": 12.0, "GPU": 2.0}, {"CPU": 64.0}]
    assert size_pool(resources(), machines) == Capacity("cuda", 6, 6)
    assert size_pool(resources(threads_per_worker=2), machines) == Capacity("cuda", 6, 2)
    assert size_pool(resources(gpus_per_worker=0.5), machines) == Capacity("cuda", 12, 3)
    assert size_pool(resources(), [{"CPU": 2.0, "GPU": 8.0}]) == Capacity("cuda", 2, 1)


@pytest.mark.parametrize(
    ("share", "workers"), [(1, 1), (0.5, 2), (0.3, 3), (0.25, 4), (0.1429, 6), (0.14, 7)]
)
def test_workers_share_a_card(share: float, workers: int) -> None:
    assert resources(gpus_per_worker=share).workers_per_gpu == workers
    machine = {"CPU": 64.0, "GPU": 2.0}
    assert size_pool(resources(gpus_per_worker=share), [machine]).workers == 2 * workers


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"gpus_per_worker": 2}, "less than or equal to 1"),
        ({"gpus_per_worker": 0}, "greater than 0"),
        ({"gpus_per_worker": 1 / 3}, "four digits at most"),
        ({"gpus_per_worker": 0.5, "device": "cpu"}, "is of CUDA"),
    ],
)
def test_shares_that_cannot_work_are_refused(given: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        resources(**given)


SHARED = """
import os, time
import ray
from collections import Counter
from types import SimpleNamespace
from distributed.execution.worker import spawner
from schemas.spec.resources import ResourcesSpec
ray.init(address="local", num_cpus=4, num_gpus=2, include_dashboard=False)
class Where:
    def start(self, task):
        from concurrent.futures import Future
        future = Future()
        future.set_result(os.environ["CUDA_VISIBLE_DEVICES"])
        return future
class Job:
    device, threads, resources = "cuda", 1, ResourcesSpec(gpus_per_worker=0.5)
    def open(self):
        return Where()
spawn = spawner(Job())
actors = [spawn() for _ in range(4)]
print(sorted(Counter(ray.get([actor.run.remote(SimpleNamespace(index=0)) for actor in actors])).items()))
"""


@pytest.mark.slow
def test_workers_share_the_mig_slices_that_ray_is_given() -> None:
    """The slices exist only among Ray's resources."""
    done = run_apart(sys.executable, "-c", SHARED, environment={"CUDA_VISIBLE_DEVICES": "MIG-a,MIG-b"})
    assert "[('MIG-a', 2), ('MIG-b', 2)]" in done.stdout, done.stderr


def test_a_cluster_that_grows_may_begin_with_nothing() -> None:
    asked = resources(device="cuda", grow_to=8)
    assert size_pool(asked, [], grows=True) == Capacity("cuda", 1, 1)
    assert size_pool(asked, [{"CPU": 4.0, "GPU": 2.0}] * 2, grows=True) == Capacity("cuda", 4, 2)
    with pytest.raises(DeviceError, match="no GPU was found"):
        size_pool(asked, [{"CPU": 4.0}])


@pytest.mark.parametrize("given", [{"grow_to": 2}, {"grow_to": 2, "device": "cuda", "workers": 3}])
def test_growth_needs_a_device_and_no_other_number_of_workers(given: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"resources\.grow_to"):
        resources(**given)


def test_a_tasks_own_fault_is_not_the_end_of_ray() -> None:
    task_error: Any = RayTaskError
    system_error: Any = RaySystemError
    fault = task_error("draw", "a traceback", ValueError("a fault of the task"))
    RayExecutor().__exit__(RayTaskError, fault, None)
    with pytest.raises(ClusterLostError, match="Ray has ended"):
        RayExecutor().__exit__(RaySystemError, system_error("gone"), None)


def test_room_follows_the_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    there: list[dict[str, float]] = [{"CPU": 3.0}]
    monkeypatch.setattr("distributed.execution.cluster.machines", lambda: list(there))
    monkeypatch.setattr("distributed.execution.cluster.LOOK_SECONDS", -1.0)
    alone, joined = RayExecutor(), RayExecutor()
    joined._joined = True
    follows, asks = (
        joined.room(resources(), "cpu", 1),
        joined.room(resources(device="cpu", grow_to=9), "cpu", 1),
    )
    few, own = joined.room(resources(workers=2), "cpu", 1), alone.room(resources(), "cpu", 1)
    assert (follows(), asks(), few(), own()) == (3, 9, 2, 3)
    there.append({"CPU": 4.0})
    assert (follows(), asks(), few(), own()) == (7, 9, 2, 7)
    there.clear()
    assert (follows(), asks(), few()) == (0, 9, 0)
    with pytest.raises(ClusterLostError, match="Ray has ended on this machine"):
        own()


def test_our_own_ray_listens_on_this_machine_alone(ray_session: None) -> None:
    here = psutil.Process()
    listening: set[tuple[str, str]] = set()
    for process in (here, *here.children(recursive=True)):
        # Workers come and go.
        with suppress(psutil.NoSuchProcess):
            sockets = process.net_connections("inet")
            addresses = [
                connection.laddr.ip for connection in sockets if connection.status == psutil.CONN_LISTEN
            ]
            listening |= {(process.name(), address.removeprefix("::ffff:")) for address in addresses}
    assert {name for name, _ in listening} >= {"gcs_server", "raylet"}
    assert all(is_loopback(address) for _, address in listening), listening


def test_a_ray_that_cannot_be_closed_is_not_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("ray._private.services.start_api_server")
    with pytest.raises(ClusterError, match="cannot be kept to this machine"), closed_ray():
        pass


@contextmanager
def standing_cluster(script: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process of a separate Ray cluster, and its address."""
    cluster = subprocess.Popen(
        [sys.executable, "-c", script],
        env=inherited_environment(),
        cwd=ROOT,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert cluster.stdout is not None
        address = cluster.stdout.readline().strip()
        assert address, "the cluster did not start"
        yield cluster, address
    finally:
        cluster.communicate("", timeout=60)


@pytest.mark.slow
def test_a_running_ray_is_joined_and_left_running(small_world: SmallWorld) -> None:
    with standing_cluster(HEAD) as (cluster, address):
        variables = {"RAY_ADDRESS": address, WITHOUT_TOKEN: "1"}
        code, output = finish(start_job("audit", small_world.spec_path(), **variables))
        assert code == ExitCode.OK, output
        assert "5 leaked" in output
        assert cluster.poll() is None


CALL = """
import os, sys
from pathlib import Path
from tempfile import TemporaryDirectory
import numpy as np
from distributed.execution.executor import Capacity
from distributed.execution.cluster import RayExecutor
from distributed.sampling.networks.latents import standard_normal
from schemas.spec.load import load_spec
from schemas.spec.resources import ResourcesSpec
def pid():
    return os.getpid()
with RayExecutor() as cluster:
    capacity = cluster.capacity(ResourcesSpec(device="cuda"))
    assert capacity == Capacity("cuda", 1, 2), capacity
    here = os.getpid()
    assert cluster.call(capacity, pid) != here
    assert cluster.call(Capacity("cpu", 1, 1), pid) == here
    ids = np.arange(5)
    assert np.array_equal(cluster.call(capacity, standard_normal, 3, ids, 4), standard_normal(3, ids, 4))
    cluster.call(capacity, load_spec, Path(sys.argv[1]))
"""


@pytest.mark.slow
def test_what_needs_the_gpu_is_done_where_one_is(tmp_path: Path) -> None:
    """The GPU exists only among Ray's resources."""
    with standing_cluster(HEAD.replace('"num_cpus": 2', '"num_cpus": 2, "num_gpus": 1')) as (_, address):
        done = run_apart(
            sys.executable,
            "-c",
            CALL,
            str(tmp_path / "none.yaml"),
            environment={"RAY_ADDRESS": address, WITHOUT_TOKEN: "1"},
        )
    assert "schemas.errors.SpecError: cannot read the spec" in done.stderr, done.stderr
    assert "AssertionError" not in done.stderr


GIVEN = """
import os
import ray
from distributed.execution.cluster import RayExecutor
from schemas.errors import ClusterError
from schemas.spec.resources import ResourcesSpec
ray.init(address="local", num_cpus=3, include_dashboard=False)
with RayExecutor() as cluster:
    try:
        print(cluster.capacity(ResourcesSpec(device="cpu")))
    except ClusterError as error:
        print(error)
assert ray.is_initialized(), "who started it ends it"
"""


@pytest.mark.slow
@pytest.mark.parametrize(("closed", "says"), [("", "asks for no token"), ("1", "workers=3")])
def test_a_ray_that_the_caller_has_started_is_taken_if_it_asks_for_a_token(closed: str, says: str) -> None:
    done = run_apart(
        sys.executable, "-c", GIVEN, environment={WITHOUT_TOKEN: closed, "RAY_AUTH_MODE": "disabled"}
    )
    assert done.returncode == 0 and says in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize("address", ["10.0.0.7:6379", "ray://head.example:10001", "[2001:db8::1]:6379"])
def test_a_ray_that_others_reach_must_ask_for_a_token(small_world: SmallWorld, address: str) -> None:
    spec = small_world.spec_path()
    code, output = finish(start_job("audit", spec, RAY_ADDRESS=address, RAY_AUTH_MODE="disabled"))
    assert code == ExitCode.FAILED
    assert "asks for no token" in output and "RAY_AUTH_MODE=token" in output and "Traceback" not in output


def test_what_is_loopback() -> None:
    assert all(map(is_loopback, ("127.0.0.1", "127.8.0.1", "::1", "localhost")))
    assert not any(map(is_loopback, ("10.0.0.7", "0.0.0.0", "::", "example.org", "localhost.example.org")))


def test_rays_folder_is_private_and_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    """That of a whole audit too: tests/jobs/test_output.py."""
    with TemporaryDirectory(prefix="r", dir="/tmp") as short:
        monkeypatch.setenv("RAY_TMPDIR", short)
        left = Path(short) / f"idleak-ray-{os.getuid()}-{2**22 + 1}-killed"
        left.mkdir()
        folder = make_ray_folder()
        assert folder.stat().st_mode & 0o777 == 0o700 and not left.exists()
        drop_ray_folder(folder)
        assert list(Path(short).iterdir()) == []


def test_an_address_where_nobody_listens_is_said_at_once(small_world: SmallWorld) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    start = time.monotonic()
    code, output = finish(start_job("audit", small_world.spec_path(), RAY_ADDRESS=address))
    assert code == ExitCode.FAILED
    assert f"cannot join the Ray at RAY_ADDRESS={address}" in output
    assert time.monotonic() - start < 60
