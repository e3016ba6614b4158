"""Audits of real generators against real faces, where the files are at hand."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from distributed.execution.cluster import RayExecutor
from distributed.stages.audit import audit
from distributed.stages.enroll import enroll
from distributed.storage.results import read_results
from distributed.storage.store import open_run
from jobs.cli.progress import watching
from schemas.run.artefacts import GALLERY_FILE
from schemas.run.results import AuditResults
from schemas.spec.audit import AuditSpec
from schemas.spec.load import load_spec
from tests.support.assets import needs_assets
from tests.support.people import pseudonyms

SPECS = Path(__file__).resolve().parents[2] / "examples" / "research"

pytestmark = [pytest.mark.assets, needs_assets, pytest.mark.usefixtures("ray_session")]


@pytest.fixture(scope="module")
def gallery(ray_session: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The enrolled photos, which are the same in all of these audits."""
    output = tmp_path_factory.mktemp("gallery")
    spec = load_spec(SPECS / "leaky-faces64.yaml").model_copy(update={"output": str(output)})
    with RayExecutor() as executor:
        store = open_run(spec)
        enroll(spec, store, executor, watching(store, spec))
    return output / GALLERY_FILE


def small_audit(name: str, gallery: Path, output: Path, samples: int) -> AuditResults:
    """The example's audit, of fewer samples, somewhere else."""
    shutil.copy(gallery, output)
    spec: AuditSpec = load_spec(SPECS / f"{name}.yaml")
    spec = spec.model_copy(update={"samples": samples, "shard_size": 128, "output": str(output)})
    store = open_run(spec)
    with RayExecutor() as executor:
        audit(spec, store, executor, watching(store, spec), print)
    return read_results(store)


def test_the_people_that_a_leaky_generator_has_memorised_are_flagged(gallery: Path, tmp_path: Path) -> None:
    """An independent script found at 512 samples: AUC 0.929, 16 members and 1 other flagged."""
    results = small_audit("leaky-faces64", gallery, tmp_path, 512)
    headline = results.scores[results.headline]
    assert headline.evaluation is not None
    assert headline.evaluation.roc_auc.value == pytest.approx(0.929, abs=0.04)
    spec = yaml.safe_load((SPECS / "leaky-faces64.yaml").read_text(encoding="utf-8"))
    labels = (SPECS / spec["gallery"]["labels"]).read_text(encoding="utf-8").splitlines()
    members = set(pseudonyms(line.split(",")[0] for line in labels if line.endswith(",1")))
    assert len(members & set(headline.flagged)) >= 12
    assert len(set(headline.flagged) - members) <= 3


def test_nobody_is_flagged_where_nobody_was_memorised(gallery: Path, tmp_path: Path) -> None:
    results = small_audit("null-faces64", gallery, tmp_path, 512)
    assert [score.flagged for score in results.scores] == [[]] * 4


def test_a_real_gan_is_audited_through_the_detector(gallery: Path, tmp_path: Path) -> None:
    results = small_audit("gan-faces36", gallery, tmp_path, 128)
    assert results.samples.detection_rate is not None and results.samples.detection_rate > 0.7
    assert results.candidates.refused == {} or set(results.candidates.refused) == {"several_faces"}
