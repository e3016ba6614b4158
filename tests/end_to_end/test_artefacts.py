"""What a run leaves: only what the table of artefacts lists, and what an earlier version has left goes on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from distributed.storage.store import RunStore
from jobs.__main__ import main
from jobs.cli.exit_codes import ExitCode
from schemas.run.artefacts import ARTEFACTS, artefact_of
from tests.support.small_world import SmallWorld

pytestmark = pytest.mark.usefixtures("in_process")


def files_of(run: Path) -> list[str]:
    return [path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file()]


def test_every_file_of_a_run_is_in_the_table(finished_world: SmallWorld) -> None:
    run = finished_world.run
    for words in (["report"], ["compare", str(run), "--output", str(run)], ["reveal"]):
        assert main([words[0], str(run), *words[1:]]) == ExitCode.OK
    assert main(["purge", str(run), "--identity", "person-019", "--yes"]) == ExitCode.OK
    assert [path for path in files_of(run) if artefact_of(path) is None] == []
    assert len({artefact_of(path) for path in files_of(run)}) > 15


def test_the_table_lists_nothing_twice() -> None:
    paths = [artefact.path for artefact in ARTEFACTS]
    assert len(set(paths)) == len(paths)
    assert artefact_of("samples/shard-000000.parquet") is not None and artefact_of("diary.txt") is None


def test_no_empty_folder_is_left(finished_world: SmallWorld) -> None:
    folders = [path for path in finished_world.run.rglob("*") if path.is_dir()]
    assert [folder.name for folder in folders if not any(folder.iterdir())] == []


def test_the_results_hold_paths_as_the_spec_wrote_them(finished_world: SmallWorld) -> None:
    results = json.loads(RunStore(str(finished_world.run)).read("results.json"))
    assert results["paths_as_written"] == {
        "generator.path": "generator.onnx",
        "faces.recognizers.0.path": "recognizer.onnx",
        "gallery.candidates.images": "candidates",
        "gallery.cohort.images": "cohort",
        "gallery.labels": "labels.csv",
        "protection.key": "{env:IDLEAK_KEY}",
        "output": "runs/audit",
    }
    assert Path(results["spec"]["generator"]["path"]).is_absolute()
