from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from distributed.sampling.api.evidence import nearest_ids
from distributed.storage.store import RunStore
from jobs.__main__ import main
from jobs.cli.exit_codes import ExitCode
from tests.support.misbehaving import Answer, good, serving
from tests.support.small_world import SmallWorld

CANARY = "canary-5f1e0c77"
SAMPLES = {"samples": 40, "shard_size": 20}

pytestmark = pytest.mark.usefixtures("in_process")


def generator(url: str, **changes: Any) -> dict[str, Any]:
    given = {"kind": "http", "url": url, "body": {"seed": "{seed}"}, "rate": 500, "budget": {"requests": 60}}
    return given | changes


def audit(world: SmallWorld, **changes: Any) -> int:
    return main(["audit", str(world.spec_path(**(SAMPLES | changes)))])


@pytest.mark.parametrize("fails", [False, True])
def test_an_audit_asks_once_for_each_sample_and_keeps_no_secret(
    small_world: SmallWorld, tmp_path: Path, capfd: pytest.CaptureFixture[str], fails: bool
) -> None:
    def answer(body: dict[str, Any], number: int) -> Answer:
        return (401, {}, CANARY.encode()) if fails else good(body, number)

    secret = tmp_path / "secret"
    secret.write_text(CANARY, encoding="utf-8")
    with serving(answer) as api:
        headers = {"Authorization": f"Bearer {{file:{secret}}}"}
        code = audit(small_world, generator=generator(api.url, headers=headers))
    assert code == (ExitCode.BAD_SPEC if fails else ExitCode.OK)
    assert all(headers["Authorization"] == f"Bearer {CANARY}" for headers, _ in api.requests)
    assert fails or len(api.requests) == 40
    printed = "".join(capfd.readouterr())
    assert CANARY not in printed and ("the API answered 401" in printed) is fails
    files = [path for path in small_world.run.rglob("*") if path.is_file()]
    assert files and not any(CANARY.encode() in file.read_bytes() for file in files)
    assert not any((small_world.run / "answers").glob("*")) or fails


def test_a_spent_budget_stops_cleanly_and_the_same_command_goes_on(
    small_world: SmallWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving() as api:
        small = {"requests": 33, "price": 0.5, "money": 15}
        assert audit(small_world, generator=generator(api.url, budget=small)) == ExitCode.SHARDS_LOST
        assert len(api.requests) == 30 and "generator.budget allows 30 requests" in capsys.readouterr().err
        assert len(list((small_world.run / "samples").glob("*.parquet"))) == 1
        assert audit(small_world, generator=generator(api.url)) == ExitCode.OK
        assert len(api.requests) == 40
        assert audit(small_world, generator=generator(api.url)) == ExitCode.OK
    assert len(api.requests) == 40
    spendings = [json.loads(path.read_bytes()) for path in (small_world.run / "spending").iterdir()]
    assert sum(spending["requests"] for spending in spendings) == 40


@pytest.mark.usefixtures("on_ray")
def test_a_shard_that_fails_is_not_paid_for_twice(small_world: SmallWorld) -> None:
    def answer(body: dict[str, Any], number: int) -> Answer:
        return (500, {}, b"") if number == 13 else good(body, number)

    with serving(answer) as api:
        code = audit(small_world, generator=generator(api.url, attempts=1, concurrency=1))
    assert code == ExitCode.OK and len(api.requests) == 41
    keys = [headers["Idempotency-Key"] for headers, _ in api.requests]
    assert len(set(keys)) == 40


def test_evidence_is_kept_encrypted_and_the_rest_is_not(small_world: SmallWorld, tmp_path: Path) -> None:
    key = base64.b64encode(bytes(range(32))).decode()
    secret = tmp_path / "key"
    secret.write_text(key, encoding="utf-8")
    with serving() as api:
        given = generator(api.url, keep="evidence", key=f"{{file:{secret}}}")
        assert audit(small_world, generator=given) == ExitCode.OK
        kept = {int(path.name): path.read_bytes() for path in (small_world.run / "answers").iterdir()}
        assert set(kept) == nearest_ids(RunStore(str(small_world.run))) and 0 < len(kept) <= 40
        assert not any(b"IHDR" in answer for answer in kept.values())
        # More samples: the evidence of before is not asked for again.
        assert audit(small_world, generator=given, samples=60) == ExitCode.OK
    assert len(api.requests) == 60
    files = [path for path in small_world.run.rglob("*") if path.is_file()]
    assert not any(key.encode() in file.read_bytes() for file in files)


def test_the_digest_of_each_answer_is_in_the_samples(small_world: SmallWorld) -> None:
    def answer(body: dict[str, Any], number: int) -> Answer:
        return (422, {}, b"") if number == 1 else good(body, number)

    with serving(answer) as api:
        given = generator(api.url, withheld_status=[422])
        assert audit(small_world, generator=given) == ExitCode.OK
    table = pq.read_table(small_world.run / "samples", columns=["outcome", "answer_sha256"])
    withheld = np.array(table["outcome"].to_pylist()) == "withheld"
    digests = table["answer_sha256"].to_pylist()
    assert withheld.sum() == 1 and digests[int(np.flatnonzero(withheld)[0])] is None
    assert len(set(digests)) == 40 and all(len(digest) == 64 for digest in digests if digest)


def test_plan_asks_nothing_and_tells_the_bill(
    small_world: SmallWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving() as api:
        budget = {"requests": 500, "price": 0.25}
        given = generator(api.url, rate=2, budget=budget)
        assert main(["plan", str(small_world.spec_path(generator=given))]) == ExitCode.OK
    out = capsys.readouterr().out
    assert api.requests == [] and "NOT ENOUGH" in out and "150.00" in out and "at least" in out


def test_shards_that_cannot_be_done_in_time_are_refused(
    small_world: SmallWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    given = generator("https://example.org/", rate=0.1)
    assert audit(small_world, generator=given, shard_size=200) == ExitCode.BAD_SPEC
    assert "lower shard_size" in capsys.readouterr().err
