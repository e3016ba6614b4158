from __future__ import annotations

import base64
import os
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from distributed.gallery.enrolled import template_rows
from distributed.storage.store import RunStore, open_run
from jobs.__main__ import main
from jobs.cli.exit_codes import ExitCode
from tests.support.in_process import tasks_in_process
from tests.support.processes import finish, start_job
from tests.support.small_world import SmallWorld

pytestmark = pytest.mark.usefixtures("in_process")

PAIR = {"device": "cpu", "workers": 2, "threads_per_worker": 1}


@pytest.fixture(scope="module")
def encrypted_template(finished_template: SmallWorld, tmp_path_factory: pytest.TempPathFactory) -> SmallWorld:
    """The miniature audit twice: in clear, and encrypted, with sealed partial results."""
    world = finished_template.copy(tmp_path_factory.mktemp("encrypted") / "world")
    with tasks_in_process(), pytest.MonkeyPatch.context() as patch:
        patch.setattr("distributed.stages.passes.LEAST_SAMPLES_OF_A_GROUP", 100)
        assert main(["audit", str(encrypted_spec(world))]) == ExitCode.OK
    return world


@pytest.fixture
def world(encrypted_template: SmallWorld, tmp_path: Path) -> SmallWorld:
    world = encrypted_template.copy(tmp_path / "world")
    assert main(["sample", str(encrypted_spec(world))]) == ExitCode.OK
    return world


def encrypted_spec(world: SmallWorld, name: str = "secret", **changes: object) -> Path:
    return world.spec_path(name, protection={"encrypt": True}, resources=PAIR, **changes)


def test_encryption_changes_no_verdict_and_hides_every_template(world: SmallWorld) -> None:
    secret = world.folder / "runs" / "secret"
    for table in ("scores", "neighbours", "over_representation"):
        names = [f"{run}/{table}.parquet" for run in (world.run, secret)]
        assert pq.read_table(names[0]).equals(pq.read_table(names[1]))
    gallery = RunStore(str(world.run)).read_table("gallery.parquet")
    templates = template_rows(gallery, "tiny").astype(np.float16)
    store = RunStore(str(secret))
    assert not any(store.read_footer(path).template_sums for path in store.sizes("samples"))
    for path in secret.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert not any(row.tobytes() in content for row in templates), path.name
    assert templates[0].tobytes() in (world.run / "gallery.parquet").read_bytes()


def test_an_encrypted_run_resumes_is_verified_and_repaired(
    world: SmallWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    spec, run = encrypted_spec(world), world.folder / "runs" / "secret"
    store = open_run(world.spec("secret", protection={"encrypt": True}, resources=PAIR))
    whole = {path.name: store.read_table(f"samples/{path.name}") for path in (run / "samples").iterdir()}
    assert len(whole) == 6 and main(["verify", str(run)]) == ExitCode.OK
    (run / "samples" / "shard-000002.parquet").unlink()
    damaged = bytearray((run / "samples" / "shard-000004.parquet").read_bytes())
    damaged[len(damaged) // 3] ^= 1
    (run / "samples" / "shard-000004.parquet").write_bytes(damaged)
    assert main(["verify", str(run)]) == ExitCode.DAMAGED
    out = capsys.readouterr().out
    assert "shard-000002.parquet: missing" in out and "shard-000004.parquet: damaged" in out
    assert main(["repair", str(run)]) == ExitCode.OK
    assert all(store.read_table(f"samples/{name}").equals(table) for name, table in whole.items())
    assert main(["audit", str(spec)]) == ExitCode.OK and main(["verify", str(run)]) == ExitCode.OK


def test_encrypted_galleries_and_references_serve_again(world: SmallWorld) -> None:
    side = {"parquet": "runs/secret/gallery.parquet"}
    spec = encrypted_spec(
        world,
        "second",
        gallery={"candidates": side, "cohort": side, "detector": False},
        membership={"scores": ["max", "calibrated"], "topk": 4, "fdr": 0.05, "reference": "runs/secret"},
    )
    assert main(["audit", str(spec)]) == ExitCode.OK
    names = (world.folder / "runs" / run / "names.sealed" for run in ("secret", "second"))
    assert all(path.stat().st_size > 1000 for path in names)


def test_without_its_key_a_run_is_closed_but_its_progress_is_not(
    world: SmallWorld, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, run = str(encrypted_spec(world)), str(world.folder / "runs" / "secret")
    monkeypatch.delenv("IDLEAK_KEY")
    assert main(["status", run]) == ExitCode.OK
    assert "samples: 600 of 600 (100%)" in capsys.readouterr().out
    for job, argument in (("audit", spec), ("verify", run), ("reveal", run)):
        assert main([job, argument]) == ExitCode.BAD_SPEC
        assert "{env:IDLEAK_KEY} is not there" in capsys.readouterr().err
    other = base64.b64encode(os.urandom(32)).decode()
    code, output = finish(start_job("audit", spec, IDLEAK_KEY=other))
    assert code == ExitCode.REFUSED and "begun under another key" in output and "Traceback" not in output
    monkeypatch.undo()
    assert main(["verify", run]) == ExitCode.OK
