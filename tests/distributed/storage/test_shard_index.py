"""A finished audit started again: what it opens, what it imports, and what it must not overlook."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from distributed.stages.fingerprints import sampling_fingerprint
from distributed.storage import shard_index
from distributed.storage.shard_index import ShardRun, committed_outcomes, indexed_outcomes, write_index
from distributed.storage.store import PARTIAL_SUFFIX, RunStore
from jobs.__main__ import main
from jobs.cli.exit_codes import ExitCode
from schemas.run.artefacts import INDEX_FILE, SAMPLES_PREFIX
from schemas.run.shard import Footer, count_outcomes, plan_shards
from schemas.spec.audit import AuditSpec
from tests.support.flaky_store import proxy
from tests.support.processes import ROOT
from tests.support.small_world import SmallWorld

HEAVY = ("ray", "torch", "faiss", "cv2", "onnxruntime", "sklearn", "matplotlib", "scipy.stats")


def shard_run(spec: AuditSpec) -> ShardRun:
    shards = plan_shards(spec.samples, spec.samples_per_shard)
    return ShardRun(spec, sampling_fingerprint(spec), SAMPLES_PREFIX, shards)


def replace_shard(store: RunStore, path: str, **changes: object) -> None:
    """Write the shard anew, its footer changed: a file of the same place and nearly the same size."""
    footer = store.read_footer(path)
    store.write_table(path, store.read_table(path), Footer(**(footer.model_dump() | changes)))


def test_the_index_says_what_the_footers_say(finished_world: SmallWorld) -> None:
    run, store = shard_run(finished_world.spec()), RunStore(str(finished_world.run))
    outcomes = count_outcomes(list(committed_outcomes(run, store).values()))
    # The files of a copied run are others.
    assert indexed_outcomes(run, store) is None
    write_index(run, store, outcomes)
    assert indexed_outcomes(run, store) == outcomes == {"ok": run.spec.samples}


def test_no_shard_is_opened_if_all_are_as_they_were(
    finished_world: SmallWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = str(finished_world.spec_path())
    assert main(["audit", spec]) == ExitCode.OK
    opened: list[str] = []
    whole = RunStore.read_footer

    def read_footer(store: RunStore, path: str, size: int | None = None) -> Footer:
        opened.append(path)
        return whole(store, path, size)

    monkeypatch.setattr(RunStore, "read_footer", read_footer)
    assert main(["audit", spec]) == ExitCode.OK
    assert opened == ["gallery.parquet"]


@pytest.mark.parametrize("what", ["fingerprint", "ids"])
def test_a_foreign_shard_is_refused_though_there_is_an_index(
    finished_world: SmallWorld, capsys: pytest.CaptureFixture[str], what: str
) -> None:
    spec, store = str(finished_world.spec_path()), RunStore(str(finished_world.run))
    assert main(["audit", spec]) == ExitCode.OK
    path = f"{SAMPLES_PREFIX}/shard-000001.parquet"
    footer = store.read_footer(path)
    if what == "fingerprint":
        replace_shard(store, path, fingerprint=footer.fingerprint | {"seed": "8"})
    else:
        replace_shard(store, path, first_id=footer.first_id + 1)
    assert main(["audit", spec]) == ExitCode.REFUSED
    assert path in capsys.readouterr().err


@pytest.mark.usefixtures("in_process")
def test_a_lost_shard_is_made_again_though_there_is_an_index(finished_world: SmallWorld) -> None:
    """And what a killed process has left half written goes."""
    spec, path = str(finished_world.spec_path()), finished_world.run / SAMPLES_PREFIX / "shard-000000.parquet"
    assert main(["audit", spec]) == ExitCode.OK
    before = path.read_bytes()
    half = path.rename(path.with_name(f"{path.name}.5f2378c2{PARTIAL_SUFFIX}"))
    assert main(["audit", spec]) == ExitCode.OK
    assert path.read_bytes() == before and not half.exists()


@pytest.mark.usefixtures("in_process")
def test_shards_of_two_devices_do_not_lie_side_by_side_unasked(
    finished_world: SmallWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    store = RunStore(str(finished_world.run))
    for index in (0, 1):
        replace_shard(store, f"{SAMPLES_PREFIX}/shard-00000{index}.parquet", device="cuda")
    store.delete(f"{SAMPLES_PREFIX}/shard-000002.parquet")
    assert main(["audit", str(finished_world.spec_path())]) == ExitCode.REFUSED
    error = capsys.readouterr().err
    assert "made on cuda, and the others would be made on cpu" in error and "allow_mixed" in error
    assert not store.exists(f"{SAMPLES_PREFIX}/shard-000002.parquet")
    resources = {"device": "cpu", "workers": 1, "threads_per_worker": 1, "allow_mixed": True}
    assert main(["audit", str(finished_world.spec_path(resources=resources))]) == ExitCode.OK


@pytest.mark.parametrize("content", ["", "{}", '{"outcomes": {"ok": 1}}'])
def test_an_unreadable_index_is_made_anew(finished_world: SmallWorld, content: str) -> None:
    run, store = shard_run(finished_world.spec()), RunStore(str(finished_world.run))
    store.write(INDEX_FILE, content.encode())
    assert indexed_outcomes(run, store) is None
    assert main(["audit", str(finished_world.spec_path())]) == ExitCode.OK
    assert indexed_outcomes(run, store) == {"ok": run.spec.samples}


def test_an_index_of_fewer_samples_or_another_seed_does_not_count(finished_world: SmallWorld) -> None:
    spec, store = finished_world.spec(), RunStore(str(finished_world.run))
    assert main(["audit", str(finished_world.spec_path())]) == ExitCode.OK
    assert indexed_outcomes(shard_run(spec), store) is not None
    more = spec.model_copy(update={"samples": spec.samples + spec.samples_per_shard})
    assert indexed_outcomes(shard_run(more), store) is None
    assert indexed_outcomes(shard_run(spec.model_copy(update={"seed": 8})), store) is None


def test_the_index_works_in_a_bucket(finished_world: SmallWorld, bucket: str) -> None:
    spec = finished_world.spec().model_copy(update={"output": bucket})
    run, here, there = shard_run(spec), RunStore(str(finished_world.run)), RunStore(bucket)
    for path in here.sizes(SAMPLES_PREFIX):
        there.write(path, here.read(path))
    write_index(run, there, {"ok": spec.samples})
    assert indexed_outcomes(run, there) == {"ok": spec.samples}
    replace_shard(there, run.path(run.shards[0]), device="other")
    assert indexed_outcomes(run, there) is None


def test_a_footer_takes_one_request(
    finished_world: SmallWorld, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, here, there = shard_run(finished_world.spec()), RunStore(str(finished_world.run)), RunStore(bucket)
    for path in here.sizes(SAMPLES_PREFIX):
        there.write(path, here.read(path))
    requests: list[str] = []

    def noted(method: str, path: str, number: int) -> None:
        requests.append(f"{method} {path.partition('?')[0].rpartition('/')[2]}")

    with proxy(os.environ["AWS_ENDPOINT_URL"], noted) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        assert committed_outcomes(run, RunStore(bucket)) == committed_outcomes(run, here)
    assert sorted(requests)[1:] == [f"GET {shard.file_name}" for shard in run.shards]


def test_footers_come_in_order_from_many_threads(
    finished_world: SmallWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, store = shard_run(finished_world.spec()), RunStore(str(finished_world.run))
    many = committed_outcomes(run, store)
    monkeypatch.setattr(shard_index, "FOOTERS_AT_ONCE", 1)
    assert list(many.items()) == list(committed_outcomes(run, store).items())
    assert list(many) == [shard.index for shard in run.shards]


def test_a_finished_audit_imports_nothing_that_does_the_work(finished_world: SmallWorld) -> None:
    spec = str(finished_world.spec_path())
    assert main(["audit", spec]) == ExitCode.OK
    assert imported_by_audit(spec) == []


def imported_by_audit(spec: str | Path) -> list[str]:
    """Which of HEAVY a process has imported after the audit."""
    code = (
        "import json, sys\nfrom jobs.__main__ import main\n"
        f"code = main(['audit', {str(spec)!r}])\n"
        f"print(json.dumps([code, [name for name in {HEAVY!r} if name in sys.modules]]))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    exit_code, modules = json.loads(done.stdout.splitlines()[-1])
    assert exit_code == ExitCode.OK
    return list(modules)
