"""A run in a bucket whose store fails, is slow, and loses answers."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from distributed.storage.store import RunStore
from jobs.cli.exit_codes import ExitCode
from schemas.errors import StoreError
from tests.support.flaky_store import proxy
from tests.support.processes import finish, start_job
from tests.support.small_world import SmallWorld, file_bytes


@pytest.mark.slow
def test_a_run_over_a_failing_store_has_the_bytes_of_a_local_one(
    small_world: SmallWorld, finished_template: SmallWorld, bucket: str
) -> None:
    seen: list[str] = []

    def fault(method: str, path: str, number: int) -> str | None:
        kind = {0: "error", 4: "lost", 7: "slow", 9: "busy"}.get(number % 11)
        seen.append(kind or "")
        return kind

    with proxy(os.environ["AWS_ENDPOINT_URL"], fault) as address:
        environment = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
        spec = small_world.spec_path("bucket", output=bucket)
        code, output = finish(start_job("audit", spec, **environment | {"AWS_ENDPOINT_URL": address}))
    assert code == ExitCode.OK, output
    assert {"error", "lost", "slow", "busy"} <= set(seen)
    store = RunStore(bucket)
    clean = file_bytes(finished_template.run)
    assert {path: store.read(path) for path in clean} == dict(clean)
    assert not store.exists("run.lock")


def test_a_creation_whose_answer_is_lost_is_ours(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    lost: list[int] = []

    def fault(method: str, path: str, number: int) -> str | None:
        if method == "PUT" and not lost:
            lost.append(number)
            return "lost"
        return None

    with proxy(os.environ["AWS_ENDPOINT_URL"], fault) as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        store = RunStore(bucket)
        assert store.create("lock", b"mine") and lost
        assert not store.create("lock", b"theirs")
        assert store.read("lock") == b"mine"


@pytest.mark.parametrize("refusal", ["conflict", "precondition"])
def test_a_creation_refused_while_nothing_is_there_is_tried_again(
    bucket: str, monkeypatch: pytest.MonkeyPatch, refusal: str
) -> None:
    puts: list[int] = []

    def fault(method: str, path: str, number: int) -> str | None:
        puts.extend([number] if method == "PUT" else [])
        return refusal if method == "PUT" and len(puts) == 1 else None

    with proxy(os.environ["AWS_ENDPOINT_URL"], fault) as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        store = RunStore(bucket)
        assert store.create("lock", b"mine") and len(puts) == 2
        assert not store.create("lock", b"theirs")


def test_a_store_that_refuses_for_good_is_an_error(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fault(method: str, path: str, number: int) -> str | None:
        return "conflict" if method == "PUT" else None

    with proxy(os.environ["AWS_ENDPOINT_URL"], fault) as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        with pytest.raises(StoreError, match="cannot write"):
            RunStore(bucket).create("lock", b"mine")


def test_a_store_that_is_gone_says_so(small_world: SmallWorld, bucket: str) -> None:
    with proxy(os.environ["AWS_ENDPOINT_URL"], lambda *request: None) as address:
        """No server listens there from now on."""
    environment = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    spec = small_world.spec_path("gone", output=bucket)
    code, output = finish(start_job("audit", spec, **environment | {"AWS_ENDPOINT_URL": address}))
    last = output.strip().splitlines()[-1]
    assert code == ExitCode.RETRY and last.startswith("idleak: cannot") and bucket in last
    assert Path(spec).exists()
