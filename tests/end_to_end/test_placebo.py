"""`membership.placebo`: the same audit of a generator that nobody of the gallery trained."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from distributed.storage.results_file import read_results
from distributed.storage.store import RunStore
from jobs.__main__ import main
from jobs.cli.exit_codes import ExitCode
from schemas.run.artefacts import LOST_SUFFIX, artefact_of
from tests.jobs.test_status import status
from tests.support.models import tiny_generator
from tests.support.small_world import DIM, SIZE, SmallWorld, default_spec

pytestmark = pytest.mark.usefixtures("in_process")


def membership(path: str) -> dict[str, Any]:
    generator = default_spec()["generator"] | {"path": path}
    return {"scores": ["max", "margin"], "topk": 4, "placebo": generator}


@pytest.fixture(scope="module")
def world(world_template: SmallWorld, tmp_path_factory: pytest.TempPathFactory) -> SmallWorld:
    copied = world_template.copy(tmp_path_factory.mktemp("placebo") / "world")
    tiny_generator(copied.folder / "placebo.onnx", dim=DIM, size=SIZE, seed=3)
    return copied


def files(run: Path) -> dict[str, bytes]:
    """But for the trail, which every command lengthens."""
    paths = (path for path in run.rglob("*") if path.is_file() and path.parent.name != "trail")
    return {path.relative_to(run).as_posix(): path.read_bytes() for path in paths}


def test_nobody_is_found_in_a_placebo(world: SmallWorld, capsys: pytest.CaptureFixture[str]) -> None:
    spec = world.spec_path("sound", membership=membership("placebo.onnx"))
    assert main(["audit", str(spec)]) == ExitCode.OK
    run = world.folder / "runs" / "sound"
    results = read_results(RunStore(str(run)))
    placebo = results.placebo
    assert placebo is not None and not placebo.warns and placebo.flagged == []
    assert placebo.samples == 600 and placebo.set_p_value > 0.05
    assert results.scores[0].flagged
    assert "the placebo audit passes: the same audit of 600 samples" in capsys.readouterr().out.replace(
        "\n", " "
    )
    made = files(run)
    assert [path for path in made if artefact_of(path) is None] == []
    assert sum(path.startswith("placebo/samples/") for path in made) == 6
    assert main(["verify", str(run)]) == ExitCode.OK
    said = status(capsys, run)
    assert "  samples: 600 of 600 (100%), 6 of 6 shards" in said
    assert "  placebo's samples: 600 of 600 (100%), 6 of 6 shards" in said
    # All is there: neither the samples nor the verdicts are made anew.
    assert main(["audit", str(spec)]) == ExitCode.OK
    assert files(run) == made


def test_the_status_counts_a_placebo_that_is_not_all_there(
    world: SmallWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    spec, run = world.spec_path("half", membership=membership("placebo.onnx")), world.folder / "runs" / "half"
    assert main(["sample", str(spec)]) == ExitCode.OK
    (run / "placebo" / "samples" / "shard-000004.parquet").unlink()
    lost = [{"index": 4, "attempts": 3, "reason": "no memory"}]
    (run / "placebo" / f"samples{LOST_SUFFIX}").write_text(json.dumps(lost), encoding="utf-8")
    said = status(capsys, run)
    assert "  samples: 600 of 600 (100%), 6 of 6 shards" in said
    _, _, of_placebo = said.partition("  placebo's samples: 500 of 600 (83%), 5 of 6 shards")
    assert "shard 4 failed 3 attempts: no memory" in of_placebo
    shutil.rmtree(run / "placebo")
    assert "  placebo's samples: 0 of 600 (0%), 0 of 6 shards" in status(capsys, run)


def test_a_generator_that_leaks_is_no_placebo(world: SmallWorld, capsys: pytest.CaptureFixture[str]) -> None:
    """The world's own, whose five members are flagged."""
    shutil.copy(world.folder / "generator.onnx", world.folder / "same.onnx")
    spec = world.spec_path("fails", membership=membership("same.onnx"))
    assert main(["audit", str(spec)]) == ExitCode.OK
    assert "warning: the placebo audit fails" in capsys.readouterr().out.replace("\n", " ")
    run = world.folder / "runs" / "fails"
    placebo = read_results(RunStore(str(run))).placebo
    assert placebo is not None and placebo.warns and len(placebo.flagged) == 5
    assert main(["report", str(run)]) == ExitCode.OK
    assert "The placebo audit fails" in (run / "report.html").read_text(encoding="utf-8")


def test_its_lost_shards_are_found_made_again_and_purged(world: SmallWorld) -> None:
    spec = world.spec_path("corrected", membership=membership("placebo.onnx"))
    assert main(["audit", str(spec)]) == ExitCode.OK
    run = world.folder / "runs" / "corrected"
    shard = run / "placebo" / "samples" / "shard-000002.parquet"
    before = shard.read_bytes()
    shard.write_bytes(before[:-100])
    assert main(["verify", str(run)]) == ExitCode.DAMAGED
    assert main(["repair", str(run)]) == ExitCode.OK
    assert shard.read_bytes() == before
    shard.unlink()
    assert main(["reduce", str(spec)]) == ExitCode.BAD_SPEC
    assert main(["audit", str(spec)]) == ExitCode.OK
    assert shard.read_bytes() == before and main(["verify", str(run)]) == ExitCode.OK
    assert main(["purge", str(run), "--identity", "person-019", "--yes"]) == ExitCode.OK
    assert read_results(RunStore(str(run))).placebo is not None
    assert main(["purge", str(run), "--yes"]) == ExitCode.OK
    assert not (run / "placebo").exists()


def test_plan_counts_it(world: SmallWorld, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", str(world.spec_path("planned", membership=membership("placebo.onnx")))]) == 0
    out = capsys.readouterr().out
    assert "placebo: time to sample" in out and "placebo: disk" in out
