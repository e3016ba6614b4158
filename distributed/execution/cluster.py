"""Ray, joined or started: the executor of every audit."""

from __future__ import annotations

import logging
import math
import os
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import ray
import ray._raylet
from ray._private import services
from ray._private.authentication.authentication_utils import is_token_auth_enabled
from ray.exceptions import RayError, RayTaskError

from distributed.execution.capacity import Machine, room_on, size_pool
from distributed.execution.executor import Capacity, Job, Observer, TaskT
from distributed.execution.local import LocalExecutor
from distributed.execution.ray_actors import RayActors
from distributed.execution.ray_folder import drop_ray_folder, make_ray_folder
from distributed.execution.ray_token import own_token
from distributed.execution.schedule import Schedule
from distributed.execution.stopping import handle_stop_signals, hangup_ignored
from distributed.execution.worker import spawner
from schemas.errors import ClusterError, ClusterLostError, DeviceError, IdleakError, first_line
from schemas.run.shard import LostShard
from schemas.spec.resources import ResourcesSpec

CONNECT_SECONDS = 10.0
CALL_SECONDS = 3600.0
WITHOUT_TOKEN = "IDLEAK_RAY_WITHOUT_TOKEN"

T = TypeVar("T")

LOOK_SECONDS = 5.0
"""How often a run looks whether its cluster has grown or shrunk."""


class RayExecutor:
    """Ray, joined or started when it is first needed. A context manager; ends only what it has started."""

    def __init__(self) -> None:
        self._started_here = False
        self._joined = False
        self._own = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._started_here:
            ray.shutdown()
            self._started_here = False
        self._own.close()
        # What a task raised is a fault of the task, and a broken pipe is no end of Ray.
        if isinstance(error, RayError | ConnectionError) and not isinstance(
            error, RayTaskError | BrokenPipeError
        ):
            said = first_line(error) or type(error).__name__
            raise ClusterLostError(f"Ray has ended ({said}); run the same command to go on") from error

    def capacity(self, resources: ResourcesSpec) -> Capacity:
        """Turn `auto` into numbers, from what the cluster has. Connects to Ray if that has not been done.

        Raises SpecError if more workers are asked for than the cluster has room for, DeviceError if CUDA is
        asked for and no node has a GPU; neither on a joined cluster that may grow.
        """
        self._connect()
        return size_pool(resources, machines(), grows=self._joined)

    def room(self, resources: ResourcesSpec, device: str, threads: int) -> Callable[[], int]:
        """How many workers a run may have when this is called; `auto`: what the cluster has room for."""
        grows = resources.grow_to if self._joined else None
        most = resources.workers if isinstance(resources.workers, int) else grows
        machine_room = partial(
            room_on, device=device, threads=threads, workers_per_gpu=resources.workers_per_gpu
        )
        return _Room(machine_room, most, asked=grows, is_own=not self._joined)

    def run(self, job: Job[TaskT], tasks: Sequence[TaskT], observer: Observer) -> list[LostShard]:
        """Do the tasks on actors, each of which opens the job once; see `Schedule`."""
        limits = job.limits
        if limits.light and len(tasks) == 1 and job.device == "cpu":
            return LocalExecutor().run(job, tasks, observer)
        self._connect()
        room = self.room(job.resources, job.device, job.threads)
        return Schedule(
            tasks,
            RayActors[TaskT](spawner(job)),
            workers=room if limits.workers is None else _at_most(limits.workers),
            on_report=observer.report,
            on_event=observer.event,
            deadline=limits.seconds,
            room_seconds=job.resources.wait_seconds,
        ).run()

    def call(self, capacity: Capacity, function: Callable[..., T], *arguments: object) -> T:
        """Call a function of a module where the device is: here, or on a machine of the joined cluster that
        has a GPU, as this one need not have any. Raises what the function raises.
        """
        if capacity.device == "cpu" or not self._joined:
            return function(*arguments)
        remote: Any = ray.remote(function)
        called = remote.options(num_cpus=capacity.threads, num_gpus=1).remote(*arguments)
        try:
            result: T = ray.get(called, timeout=CALL_SECONDS)
        except RayTaskError as error:
            raise (error.cause if isinstance(error.cause, IdleakError) else error) from None
        return result

    def _connect(self) -> None:
        """Join the Ray that `RAY_ADDRESS` names, else start one on this machine; take one that this process
        has joined or started already as it is."""
        if ray.is_initialized():
            if not self._started_here and not self._joined:
                require_authentication(ray.get_runtime_context().gcs_address)
                self._joined = True
            return
        address = os.environ.get("RAY_ADDRESS") or "local"
        self._started_here = True
        if address == "local":
            with hangup_ignored():
                _start_local(self._own.enter_context(_own_folder()))
        else:
            _join(address)
            self._joined = True
        handle_stop_signals()


@contextmanager
def _own_folder() -> Iterator[Path]:
    """The folder of a Ray of our own, and its token there, until the Ray has ended."""
    folder = make_ray_folder()
    try:
        with own_token(folder):
            _read_variables_again()
            yield folder
    finally:
        _read_variables_again()
        drop_ray_folder(folder)


def _read_variables_again() -> None:
    """Ray keeps what it has once read of RAY_AUTH_MODE and the token; its type stubs name neither class."""
    raylet: Any = ray._raylet
    raylet.Config.initialize("")
    raylet.AuthenticationTokenLoader.instance().reset_cache()


@contextmanager
def closed_ray() -> Iterator[None]:
    """A Ray that `ray.init` starts in the block listens on 127.0.0.1 alone, and looks for no cloud around it.

    Ray has no setting for either: it replaces 127.0.0.1 by the machine's address in its network; and without
    a dashboard it starts that process all the same, to tell which cloud it runs in, in a usage report that is
    off. Raises ClusterError for a Ray that this cannot be done with.
    """
    changed = {"resolve_ip_for_localhost": lambda host: host, "start_api_server": lambda *_, **__: ("", None)}
    if missing := changed.keys() - vars(services).keys():
        raise ClusterError(
            f"Ray {ray.__version__} cannot be kept to this machine (it has no {min(missing)}): install the "
            "version that constraints.txt names"
        )
    before = {name: getattr(services, name) for name in changed}
    vars(services).update(changed)
    try:
        yield
    finally:
        vars(services).update(before)


def _start_local(folder: Path) -> None:
    with closed_ray():
        try:
            ray.init(
                address="local",
                _temp_dir=str(folder),
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
                _node_ip_address="127.0.0.1",
                num_gpus=_mig_slices(),
            )
        except Exception as error:
            # Ray raises bare exceptions where one of its processes does not come up.
            said = first_line(error) or type(error).__name__
            raise ClusterLostError(
                f"Ray did not start ({said}); run the same command to try again"
            ) from error


def _mig_slices() -> int | None:
    """How many slices of GPUs this process is given, each a GPU to Ray; None: Ray counts cards itself."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    return sum(name.startswith("MIG-") for name in given) or None


def _join(address: str) -> None:
    try:
        if address != "auto":
            require_authentication(address.removeprefix("ray://"))
            require_listener(address.removeprefix("ray://"))
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
        require_authentication(ray.get_runtime_context().gcs_address)
    except (OSError, RuntimeError, ValueError) as error:
        reason = str(error).split("\n")[0]
        raise DeviceError(
            f"cannot join the Ray at RAY_ADDRESS={address}: {reason}; "
            "start it, give this command its RAY_AUTH_MODE and token, or unset RAY_ADDRESS to run on this "
            "machine alone"
        ) from error


def require_authentication(address: str) -> None:
    """Raise ClusterError for a Ray that others than this machine can reach, and that asks for no token.

    Whoever can speak to it could read what its workers have in memory, templates and keys.
    """
    host = address.rpartition(":")[0].strip("[]") or address
    if is_loopback(host) or is_token_auth_enabled() or os.environ.get(WITHOUT_TOKEN) == "1":
        return
    raise ClusterError(
        f"the Ray at {address} can be reached by others and asks for no token: start it and this command "
        f"with RAY_AUTH_MODE=token, or set {WITHOUT_TOKEN}=1 if its network is closed to all others"
    )


def is_loopback(host: str) -> bool:
    """Whether an address or a name is this machine's own, as nobody else can reach it."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def require_listener(address: str, port: int | None = None) -> None:
    """Raise OSError at once where nobody listens: Ray itself would try for minutes. port: if it has none."""
    host, _, given = address.rpartition(":") if address.rpartition(":")[2].isdigit() else (address, "", "")
    if given or port is not None:
        number = int(given) if given else port
        socket.create_connection((host.strip("[]"), number), timeout=CONNECT_SECONDS).close()


def _at_most(workers: int) -> Callable[[], int]:
    return lambda: workers


class _Room:
    """The room for workers when it was last looked up: `most` of them at most.

    asked: workers that the cluster is to grow to, which it learns from those that wait for a machine.
    """

    def __init__(
        self,
        room_on_machines: Callable[[Sequence[Machine]], int],
        most: int | None,
        *,
        asked: int | None,
        is_own: bool,
    ) -> None:
        self._room_on_machines = room_on_machines
        self._most, self._asked, self._is_own = most, asked, is_own
        self._looked = -math.inf
        self._room = 0

    def __call__(self) -> int:
        """Raises ClusterLostError where a Ray of our own has no machine any more: no other will come."""
        if time.monotonic() - self._looked > LOOK_SECONDS:
            there = machines()
            if self._is_own and not there:
                raise ClusterLostError("Ray has ended on this machine; run the same command to go on")
            self._room = self._room_on_machines(there)
            self._looked = time.monotonic()
        room = self._room if self._asked is None else self._asked
        return room if self._most is None else min(room, self._most)


def machines() -> list[Machine]:
    """What each live machine of the cluster has in all, in use or not."""
    nodes: Callable[[], list[dict[str, Any]]] = ray.nodes
    return [node["Resources"] for node in nodes() if node["Alive"]]
