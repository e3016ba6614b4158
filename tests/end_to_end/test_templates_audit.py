"""An audit of people who are given as templates alone: verdicts as of photos, and pages without faces."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from distributed.gallery.enrolled import template_rows
from distributed.storage.run_record import read_results
from distributed.storage.store import RunStore
from jobs.__main__ import main
from jobs.cli.exit_codes import ExitCode
from jobs.pages.report.faces import NO_PHOTO
from tests.support.people import pseudonym
from tests.support.small_world import SmallWorld


def test_templates_give_the_verdicts_of_their_photos(
    finished_world: SmallWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    by_photos = read_results(RunStore(str(finished_world.run)))
    table = RunStore(str(finished_world.run)).read_table("gallery.parquet")
    for role in ("candidate", "cohort"):
        rows = table.filter(pc.equal(table["role"], role))
        columns = {"identity": rows["identity"], "template": list(template_rows(rows, "tiny"))}
        pq.write_table(pa.table(columns), finished_world.folder / f"{role}.parquet")
    gallery = {
        "candidates": {"kind": "templates", "path": "candidate.parquet"},
        "cohort": {"kind": "templates", "path": "cohort.parquet"},
        "detector": False,
    }
    spec = str(finished_world.spec_path("templates", gallery=gallery))
    assert main(["plan", spec]) == main(["audit", spec]) == ExitCode.OK
    assert "templates were given without photos: no page can show these people" in capsys.readouterr().out
    run = finished_world.folder / "runs" / "templates"
    results = read_results(RunStore(str(run)))
    expected = {pseudonym(person) for person in by_photos.scores[by_photos.headline].flagged}
    assert set(results.scores[results.headline].flagged) == expected and expected
    assert {result.kind for result in results.evidence} <= {"identity", "undecided"}
    assert any("without photos" in line for line in json.loads((run / "run.json").read_text())["gallery"])
    assert main(["verify", str(run)]) == main(["report", str(run), "--with-faces"]) == ExitCode.OK
    assert NO_PHOTO in (run / "report.html").read_text(encoding="utf-8")
