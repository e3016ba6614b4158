"""The demo in small: its models and all its candidates, with a part of its cohort and of its samples."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from distributed.execution.local import LocalExecutor
from distributed.stages.audit import audit
from distributed.storage.results import read_results
from distributed.storage.store import open_run
from jobs.cli.findings import most_at_risk
from jobs.cli.progress import watching
from schemas.spec.gallery import GallerySpec
from schemas.spec.load import load_spec
from schemas.spec.protection import ProtectionSpec
from tests.support.people import pseudonym

DEMO = Path(__file__).resolve().parents[2] / "examples" / "demo"
COHORT = 120


@pytest.fixture
def gallery(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> GallerySpec:
    """The demo's gallery with fewer people in its cohort."""
    monkeypatch.syspath_prepend(str(DEMO))
    script, world = importlib.import_module("gallery"), importlib.import_module("world")
    script.write_folder(tmp_path / "candidates", world.CANDIDATES)
    script.write_folder(tmp_path / "cohort", world.COHORT[:COHORT])
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
    first, second = most_at_risk(store, headline, 2)
    assert first["identity"] == pseudonym("person-0007") and first["verdict"] == "leaked"
    assert first["hits"] > 5 * second["hits"]
    assert results.overlap is not None and results.overlap.matches.threshold is not None
    assert results.overlap.matches.found == [] and results.overlap.odd_photos is not None
    assert results.overlap.odd_photos.photos == []
