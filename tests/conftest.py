"""Fixtures that several test files share."""

from __future__ import annotations

import base64
import logging
import os
import signal
import uuid
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from jobs.__main__ import main
from jobs.cli.exit_codes import ExitCode
from tests.support.in_process import tasks_in_process
from tests.support.small_world import SmallWorld, build

os.environ["IDLEAK_KEY"] = base64.b64encode(bytes(range(32))).decode()

# Under `nohup`, or behind a script's `&`, these would be ignored in all jobs that tests start: what is
# ignored is inherited, a handler is not, even one that does nothing.
for number, handler in ((signal.SIGHUP, lambda *_: None), (signal.SIGINT, signal.default_int_handler)):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, handler)


@pytest.fixture(scope="session")
def ray_session() -> Iterator[None]:
    """One Ray for all tests that need one in this process."""
    import ray

    from distributed.execution.cluster import closed_ray

    with closed_ray():
        ray.init(
            address="local",
            num_cpus=2,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
            _node_ip_address="127.0.0.1",
        )
    yield
    ray.shutdown()


@pytest.fixture
def on_ray(ray_session: None) -> None:
    """Of a test among others that are `in_process`: Ray's workers do its tasks."""


@pytest.fixture
def in_process(request: pytest.FixtureRequest) -> Iterator[None]:
    """Jobs do their tasks here, without workers that load all anew. Not for tests of where tasks run."""
    with nullcontext() if "on_ray" in request.fixturenames else tasks_in_process():
        yield


@pytest.fixture(scope="session")
def world_template(tmp_path_factory: pytest.TempPathFactory) -> SmallWorld:
    """The miniature audit, made once. Never to be changed: tests get copies."""
    return build(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="session")
def finished_template(
    world_template: SmallWorld, ray_session: None, tmp_path_factory: pytest.TempPathFactory
) -> SmallWorld:
    """The miniature audit, carried out once. Never to be changed."""
    world = world_template.copy(tmp_path_factory.mktemp("finished") / "world")
    assert main(["audit", str(world.spec_path())]) == ExitCode.OK
    return world


@pytest.fixture
def small_world(world_template: SmallWorld, tmp_path: Path) -> SmallWorld:
    """A fresh copy of the miniature audit."""
    return world_template.copy(tmp_path / "world")


@pytest.fixture
def finished_world(finished_template: SmallWorld, tmp_path: Path) -> SmallWorld:
    """A copy of the miniature audit that has been carried out."""
    return finished_template.copy(tmp_path / "world")


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of an empty prefix on a real HTTP server that speaks S3."""
    # Not needed by the tests of a GPU, on machines that have what an audit needs and no more.
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    settings = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "nobody",
        "AWS_SECRET_ACCESS_KEY": "nothing",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    client = boto3.client("s3", endpoint_url=settings["AWS_ENDPOINT_URL"])
    client.create_bucket(Bucket="audits")
    yield f"s3://audits/{uuid.uuid4().hex}"
    client.close()
    server.stop()
