"""Audits of people, of samples and of both that are given as templates: verdicts as of images, and pages
without faces."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from distributed.gallery.enrolled import template_rows
from distributed.runtime.digests import digest_file
from distributed.storage.results_file import read_results
from distributed.storage.store import RunStore
from jobs.__main__ import main
from jobs.cli.exit_codes import ExitCode
from jobs.pages.explorer.faces import Faces
from jobs.pages.explorer.judge import Judge
from jobs.pages.explorer.question import IdentityQuestion
from jobs.pages.explorer.tables import Explorer
from jobs.pages.report.faces import NO_PHOTO
from schemas.errors import UsageError
from tests.support.exploring import served, visitor
from tests.support.people import pseudonym
from tests.support.small_world import SmallWorld, file_bytes

RECOGNIZER = [{"name": "tiny", "path": "recognizer.onnx"}]


def write_people(world: SmallWorld) -> dict[str, Any]:
    """The finished run's people as templates: the `gallery` of a spec."""
    table = RunStore(str(world.run)).read_table("gallery.parquet")
    for role in ("candidate", "cohort"):
        rows = table.filter(pc.equal(table["role"], role))
        columns = {"identity": rows["identity"], "template": list(template_rows(rows, "tiny"))}
        pq.write_table(pa.table(columns), world.folder / f"{role}.parquet")
    return {
        "candidates": {"kind": "templates", "path": "candidate.parquet"},
        "cohort": {"kind": "templates", "path": "cohort.parquet"},
        "detector": False,
    }


def write_samples(world: SmallWorld) -> dict[str, Any]:
    """The finished run's samples as clip-retrieval would leave them: the `generator` of a spec."""
    folder = world.folder / "served"
    (folder / "img_emb").mkdir(parents=True)
    (folder / "metadata").mkdir()
    for number, shard in enumerate(sorted(RunStore(str(world.run)).sizes("samples"))):
        rows = RunStore(str(world.run)).read_table(shard)
        np.save(folder / "img_emb" / f"img_emb_{number}.npy", template_rows(rows, "tiny").astype(np.float16))
        paths = [f"{id_}.jpg" for id_ in rows["sample_id"].to_pylist()]
        pq.write_table(pa.table({"image_path": paths}), folder / "metadata" / f"metadata_{number}.parquet")
    digest = digest_file(world.folder / "recognizer.onnx")
    return {"kind": "templates", "path": "served", "image": "image_path", "recognizer": f"sha256:{digest}"}


def flagged(run: Path) -> set[str]:
    results = read_results(RunStore(str(run)))
    return set(results.scores[results.headline].flagged)


def test_samples_that_are_templates_give_the_verdicts_of_their_images(
    finished_world: SmallWorld, in_process: None, capsys: pytest.CaptureFixture[str]
) -> None:
    generator = write_samples(finished_world)
    path = finished_world.spec_path("served", generator=generator, faces={"recognizers": RECOGNIZER})
    assert main(["plan", str(path)]) == main(["audit", str(path)]) == ExitCode.OK
    said = " ".join(capsys.readouterr().out.split())
    assert "not searched for: the samples are templates already" in said
    by_images, run = RunStore(str(finished_world.run)), finished_world.folder / "runs" / "served"
    for shard in by_images.sizes("samples"):
        expected, rows = by_images.read_table(shard), pq.read_table(run / shard)
        np.testing.assert_allclose(template_rows(rows, "tiny"), template_rows(expected, "tiny"), atol=1e-3)
        assert rows["sample_id"].equals(expected["sample_id"]) and rows["detection_score"].null_count == 100
    assert flagged(run) == flagged(finished_world.run) != set()
    assert read_results(RunStore(str(run))).samples.detection_rate is None
    (notice,) = json.loads((run / "run.json").read_text())["generator"]
    assert notice == "samples were given as templates: none can be shown or searched for faces"
    assert main(["verify", str(run)]) == main(["report", str(run), "--with-faces"]) == ExitCode.OK
    page = (run / "report.html").read_text(encoding="utf-8")
    assert "the samples were given as templates, without images" in page
    assert "given as a template, of &#39;0.jpg&#39;" in page and "data:image/png" in page
    store, (person, *_) = RunStore(str(run)), flagged(run)
    with served(run, faces=Faces(store)) as gate, visitor(gate) as client:
        page = client.get(IdentityQuestion(id=person).link()).text
    assert "The samples were given as templates: none can be shown." in page
    assert "/photo.png" in page and "/sample.png" not in page
    explorer = Explorer(store)
    with pytest.raises(UsageError, match="there is nothing to judge"):
        Judge(store, explorer, "a reviewer", 1)
    explorer.close()


def test_an_audit_of_templates_alone(finished_world: SmallWorld, in_process: None) -> None:
    """Neither a detector nor an image; whoever resumes reads the same rows."""
    spec = {
        "generator": write_samples(finished_world),
        "faces": {"recognizers": RECOGNIZER},
        "gallery": write_people(finished_world),
    }
    path = finished_world.spec_path("alone", **spec)
    run = finished_world.folder / "runs" / "alone"
    assert main(["audit", str(path)]) == ExitCode.OK
    assert flagged(run) == {pseudonym(person) for person in flagged(finished_world.run)}
    before = file_bytes(run, "samples/*.parquet")
    (run / "samples" / "shard-000002.parquet").unlink()
    (run / "results.json").unlink()
    assert main(["audit", str(path)]) == ExitCode.OK
    assert file_bytes(run, "samples/*.parquet") == before


@pytest.mark.parametrize(
    ("rows", "changes", "says"),
    [
        (np.ones((600, 3)), {}, "templates of the samples have 3 numbers, and recogniser tiny makes "),
        (np.ones((9, 3)), {}, "the generator has 9 templates: lower samples from 600"),
        (np.ones((600, 3)), {"recognizer": f"sha256:{'0' * 64}"}, "give the model that made the templates"),
        (np.full((600, 16), np.nan), {}, ": there is no template), more than limits.invalid_samples"),
    ],
)
def test_samples_that_cannot_serve_are_refused_in_one_line(
    small_world: SmallWorld,
    in_process: None,
    capsys: pytest.CaptureFixture[str],
    rows: np.ndarray[Any, Any],
    changes: dict[str, str],
    says: str,
) -> None:
    np.save(small_world.folder / "t.npy", rows)
    generator = {"kind": "templates", "path": "t.npy", **changes}
    path = small_world.spec_path(generator=generator, faces={"recognizers": RECOGNIZER})
    capsys.readouterr()
    assert main(["audit", str(path)]) != ExitCode.OK
    error = capsys.readouterr().err
    assert says in error and error.count("idleak: ") == 1 and "Traceback" not in error


def test_templates_give_the_verdicts_of_their_photos(
    finished_world: SmallWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = str(finished_world.spec_path("templates", gallery=write_people(finished_world)))
    assert main(["plan", spec]) == main(["audit", spec]) == ExitCode.OK
    assert "templates were given without photos: no page can show these people" in capsys.readouterr().out
    run = finished_world.folder / "runs" / "templates"
    results = read_results(RunStore(str(run)))
    assert flagged(run) == {pseudonym(person) for person in flagged(finished_world.run)} != set()
    assert {result.kind for result in results.evidence} <= {"identity", "undecided"}
    assert any("without photos" in line for line in json.loads((run / "run.json").read_text())["gallery"])
    assert main(["verify", str(run)]) == main(["report", str(run), "--with-faces"]) == ExitCode.OK
    assert NO_PHOTO in (run / "report.html").read_text(encoding="utf-8")
