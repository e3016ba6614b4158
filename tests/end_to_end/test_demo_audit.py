"""The demo in small: its models and all its candidates, with a part of its cohort and of its samples; and the
notebook of it, on the run that this leaves."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import nbformat
import pytest
import yaml
from nbclient import NotebookClient

from distributed.execution.local import LocalExecutor
from distributed.stages.audit import audit
from distributed.storage.results_file import people_of, read_results
from distributed.storage.store import open_run
from jobs.cli.work import watching
from schemas.run.artefacts import SCORES_FILE
from schemas.spec.audit import AuditSpec
from schemas.spec.gallery import GallerySpec
from schemas.spec.load import load_spec
from schemas.spec.protection import ProtectionSpec
from tests.support.people import pseudonym

DEMO = Path(__file__).resolve().parents[2] / "examples" / "demo"
COHORT = 120


@pytest.fixture
def gallery(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> GallerySpec:
    """The demo's gallery; with fewer people in its cohort, unless the test is one for `make soak`."""
    monkeypatch.syspath_prepend(str(DEMO))
    script, world = importlib.import_module("gallery"), importlib.import_module("world")
    is_whole = request.node.get_closest_marker("slow") is not None
    script.write_folder(tmp_path / "candidates", world.CANDIDATES)
    script.write_folder(tmp_path / "cohort", world.COHORT if is_whole else world.COHORT[:COHORT])
    script.write_labels(tmp_path / "labels.csv")
    return GallerySpec.model_validate(
        {
            "candidates": {"images": str(tmp_path / "candidates")},
            "cohort": {"images": str(tmp_path / "cohort")},
            "detector": False,
            "labels": str(tmp_path / "labels.csv"),
        }
    )


def test_the_demo_finds_its_members_and_above_all_the_one_with_ten_times_the_photos(
    tmp_path: Path, gallery: GallerySpec
) -> None:
    spec = load_spec(DEMO / "audit.yaml").model_copy(
        update={
            "samples": 2000,
            "shard_size": 500,
            "gallery": gallery,
            "protection": ProtectionSpec(),
            "output": str(tmp_path / "run"),
        }
    )
    store = open_run(spec)
    audit(spec, store, LocalExecutor(), watching(store, spec), print)
    results = read_results(store)
    headline = results.scores[results.headline]
    assert headline.evaluation is not None
    assert (headline.evaluation.members, headline.evaluation.non_members) == (16, 24)
    assert headline.evaluation.roc_auc.value > 0.9
    first, second, *_ = people_of(store.read_table(SCORES_FILE), headline).to_pylist()
    assert first["identity"] == pseudonym("person-0007") and first["verdict"] == "leaked"
    assert first["hits"] > 5 * second["hits"]
    assert results.placebo is not None and not results.placebo.warns
    assert results.overlap is not None and results.overlap.matches.threshold is not None
    assert results.overlap.matches.found == [] and results.overlap.odd_photos is not None
    assert results.overlap.odd_photos.photos == []
    require_shown(executed(DEMO.parent / "audit.ipynb", tmp_path, spec=written(spec, tmp_path)), leaked=16)


@pytest.mark.slow
def test_the_notebook_audits_the_whole_demo(tmp_path: Path, gallery: GallerySpec) -> None:
    spec = load_spec(DEMO / "audit.yaml").model_copy(
        update={"gallery": gallery, "protection": ProtectionSpec(), "output": str(tmp_path / "run")}
    )
    notebook = executed(DEMO.parent / "audit.ipynb", tmp_path, spec=written(spec, tmp_path))
    assert any("sampling: 10,000 of 10,000 images" in text for text in printed(notebook))
    require_shown(notebook, leaked=16)


def written(spec: AuditSpec, folder: Path) -> Path:
    path = folder / "audit.yaml"
    path.write_text(yaml.safe_dump(spec.model_dump(mode="json")), encoding="utf-8")
    return path


def executed(path: Path, folder: Path, *, spec: Path) -> Any:
    """The notebook with the outputs of its cells, whose first one names the spec."""
    notebook: Any = nbformat.read(path, as_version=4)
    parameters = next(cell for cell in notebook.cells if cell.cell_type == "code")
    assert parameters.source == 'SPEC = "demo/audit.yaml"'
    parameters.source = f"SPEC = {str(spec)!r}"
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(folder)}}).execute()
    return notebook


def printed(notebook: Any) -> list[str]:
    """What cells wrote to stdout; nothing to stderr."""
    streams = [output for output in outputs(notebook) if output.output_type == "stream"]
    assert {stream.name for stream in streams} <= {"stdout"}, streams
    return [stream.text for stream in streams]


def outputs(notebook: Any) -> list[Any]:
    return [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]


def require_shown(notebook: Any, leaked: int) -> None:
    """Assert that the plan, the run, its table, its figures, one by pyplot and the names are there."""
    printed(notebook)
    shown = [output.data for output in outputs(notebook) if "data" in output]
    html = [data["text/html"] for data in shown if "text/html" in data]
    assert "What the audit would cost" in html[0] and f"demo: {leaked} of 40 people are flagged" in html[1]
    assert sum("data:image/png;base64," in text for text in html) >= 6
    assert any("image/png" in data for data in shown), "pyplot draws where it drew before"
    assert "'person-0007'" in shown[-3]["text/plain"] and shown[-2]["text/plain"] == "False"
