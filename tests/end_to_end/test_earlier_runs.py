"""A run that version 0.1.1 made is verified and read, and judged anew from its samples and its gallery.

tests/data/run-0.1.1: the miniature audit of `tests/support/small_world.py` as it then was: each photo of a
member is a sample of its own.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from distributed.runtime.versions import version_fields
from distributed.storage.results_file import read_results
from distributed.storage.store import RunStore
from jobs.__main__ import main
from jobs.cli.exit_codes import ExitCode
from jobs.pages.explorer.question import IdentityQuestion, ListQuestion
from jobs.pages.explorer.tables import Explorer
from schemas.run.artefacts import (
    COMPARISON_FILE,
    COMPARISON_RESULT_FILE,
    GALLERY_FILE,
    NEIGHBOURS_FILE,
    RECORD_FILE,
    REPORT_FILE,
    RESULTS_FILE,
    SAMPLES_PREFIX,
    SCORES_FILE,
)
from schemas.run.comparison import ComparisonResult
from schemas.run.tables import FACE_SIZE_COLUMN, NEIGHBOURS_SCHEMA, OVER_REPRESENTATION_SCHEMA, SCORES_SCHEMA
from schemas.version import idleak_version, is_later
from tests.support.pages import require_safe
from tests.support.people import pseudonym, pseudonyms
from tests.support.small_world import CANDIDATES, MEMBERS, PHOTOS, SmallWorld, crops, file_bytes, save_photos

KEPT = Path(__file__).resolve().parents[1] / "data" / "run-0.1.1"
MEMBER_NAMES = pseudonyms(f"person-{index:03d}" for index in range(MEMBERS))
OF_0_1 = {"scores": ["max", "topk_mean", "hit_rate"], "topk": 4, "fdr": 0.05}

pytestmark = pytest.mark.usefixtures("in_process")


@pytest.fixture
def earlier(small_world: SmallWorld) -> SmallWorld:
    """The world of the kept run, with the run in its place."""
    made_with = json.loads((KEPT / RECORD_FILE).read_text(encoding="utf-8"))["fingerprint"]
    here = version_fields()
    others = [f"{name} {made_with[name]}" for name in here if made_with[name] != here[name]]
    if others:
        pytest.skip(f"the kept run was made with other packages: {', '.join(others)}")
    samples = crops(small_world, np.arange(MEMBERS * PHOTOS) * 7)
    for index in range(MEMBERS):
        folder = small_world.folder / "candidates" / f"person-{index:03d}"
        shutil.rmtree(folder)
        save_photos(folder, samples[index * PHOTOS : (index + 1) * PHOTOS])
    shutil.copytree(KEPT, small_world.run)
    return small_world


def others(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """All but the shards, whose footers also tell the sum of their templates since, and the gallery, which
    also keeps the size of faces."""
    kept = (SAMPLES_PREFIX, GALLERY_FILE)
    return {path: content for path, content in files.items() if not path.startswith(kept)}


def with_retired_score(world: SmallWorld) -> None:
    """The run as if its headline had been `cohort_norm`, which version 0.1 had and nobody computes any more;
    and as if one person had been explained away."""
    for path, places in ((RECORD_FILE, ["spec"]), (RESULTS_FILE, ["spec"])):
        content = json.loads((world.run / path).read_text(encoding="utf-8"))
        content[places[0]]["membership"]["scores"] = ["cohort_norm", "topk_mean", "hit_rate"]
        if path == RESULTS_FILE:
            content["scores"][0]["score_name"] = "cohort_norm"
        (world.run / path).write_text(json.dumps(content), encoding="utf-8")
    store = RunStore(str(world.run))
    table = store.read_table(SCORES_FILE)
    rows = table.to_pylist()
    for row in rows:
        if row["score_name"] == "max":
            row["score_name"] = "cohort_norm"
        if row["identity"] == pseudonym("person-004") and row["verdict"]:
            other = pseudonym("person-003")
            row |= {"verdict": "inconclusive", "resembles": other, "reason": f"fits {other} better"}
    changed = table.from_pylist(rows, table.schema)
    store.write_table(SCORES_FILE, changed, store.read_footer(SCORES_FILE))


def with_paths_of(world: SmallWorld) -> None:
    """The run's record as if it had been made where it is now."""
    path = world.run / RECORD_FILE
    record = json.loads(path.read_text(encoding="utf-8"))
    made_in = record["spec"]["output"].removesuffix("/runs/audit")
    path.write_text(path.read_text(encoding="utf-8").replace(made_in, str(world.folder)), encoding="utf-8")


def test_it_is_verified_and_read(earlier: SmallWorld) -> None:
    for job in ("verify", "status", "report", "reveal", "verify"):
        assert main([job, str(earlier.run)]) == ExitCode.OK, job
    page = require_safe((earlier.run / REPORT_FILE).read_text(encoding="utf-8"))
    assert f"{MEMBERS} of {CANDIDATES} people are flagged" in page.text
    assert "With the number of a sample stands its similarity to the person." in page.text, "no margins"
    assert "A hit is a sample" not in page.text


def test_its_photos_and_samples_are_shown(earlier: SmallWorld) -> None:
    with_paths_of(earlier)
    assert main(["report", str(earlier.run), "--with-faces"]) == ExitCode.OK
    page = require_safe((earlier.run / REPORT_FILE).read_text(encoding="utf-8"))
    assert sum(image.startswith("data:image/png") for image in page.images) > MEMBERS


def test_a_score_that_is_retired_is_still_read(
    earlier: SmallWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    with_retired_score(earlier)
    assert main(["report", str(earlier.run)]) == ExitCode.OK
    page = require_safe((earlier.run / REPORT_FILE).read_text(encoding="utf-8"))
    assert "cohort_norm (decides) tiny Benjamini-Hochberg" in page.text
    assert (
        "1 person: no verdict. The samples that resemble this person fit another candidate better"
        in page.text
    )
    assert (
        f"Most of the samples nearest to this person fit {pseudonym('person-003')[:12]} better" in page.text
    )
    assert main(["status", str(earlier.run)]) == main(["reveal", str(earlier.run)]) == ExitCode.OK
    assert "person-000" in capsys.readouterr().out


def test_it_is_explored(earlier: SmallWorld) -> None:
    store = RunStore(str(earlier.run))
    explorer = Explorer(store)
    listed = explorer.listed(explorer.completed(ListQuestion(verdict="leaked")))
    assert {row["identity"] for row in listed.rows} == set(MEMBER_NAMES)
    rows = store.read_table(NEIGHBOURS_FILE).to_pylist()
    best: dict[str, dict[int, float]] = {}
    for row in rows:
        of_person = best.setdefault(row["identity"], {})
        of_person[row["sample_id"]] = max(row["similarity"], of_person.get(row["sample_id"], -1.0))
    assert sum(map(len, best.values())) < len(rows), "samples near both photos of a person are shown once"
    for person, samples in best.items():
        nearest = explorer.nearest(IdentityQuestion(id=person), "tiny").rows
        assert [(row["sample_id"], row["similarity"], row["margin"]) for row in nearest] == [
            (sample_id, similarity, None)
            for sample_id, similarity in sorted(samples.items(), key=lambda pair: (-pair[1], pair[0]))
        ]
        assert person in [row["identity"] for row in explorer.near_sample(nearest[0]["sample_id"])]
    assert all(explorer.is_compared(row["identity"], row["photo"]) for row in rows)
    explorer.close()


def test_two_of_them_are_compared_and_none_with_a_run_of_today(
    earlier: SmallWorld, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, out = str(earlier.run), tmp_path / "out"
    assert main(["compare", run, run, "--output", str(out)]) == ExitCode.OK
    require_safe((out / COMPARISON_FILE).read_text(encoding="utf-8"))
    result = ComparisonResult.model_validate_json((out / COMPARISON_RESULT_FILE).read_bytes())
    assert len(result.people) == CANDIDATES and {person.more_often for person in result.people} == {""}
    today = earlier.spec_path("today", membership=OF_0_1 | {"correction": "bh"})
    assert main(["audit", str(today)]) == ExitCode.OK
    capsys.readouterr()
    assert (
        main(["compare", run, str(earlier.folder / "runs" / "today"), "--output", str(out)])
        == ExitCode.REFUSED
    )
    assert "the first is judged by version 0.1: audit it again" in capsys.readouterr().err


def test_an_audit_judges_its_samples_and_its_gallery_anew(earlier: SmallWorld) -> None:
    kept = ("samples/*.parquet", "gallery.parquet", "names.sealed")
    before = [file_bytes(earlier.run, pattern) for pattern in kept]
    times = {path: path.stat().st_mtime_ns for path in (earlier.run / "samples").iterdir()}
    assert main(["audit", str(earlier.spec_path())]) == ExitCode.OK
    assert [file_bytes(earlier.run, pattern) for pattern in kept] == before
    assert {path: path.stat().st_mtime_ns for path in (earlier.run / "samples").iterdir()} == times
    results = read_results(RunStore(str(earlier.run)))
    assert results.samples.shards_made_now == 0
    assert [score.score_name for score in results.scores] == ["max", "topk_mean", "hit_rate", "margin"]
    schemas: dict[str, Any] = {
        "neighbours": NEIGHBOURS_SCHEMA,
        "scores": SCORES_SCHEMA,
        "over_representation": OVER_REPRESENTATION_SCHEMA,
    }
    for name, schema in schemas.items():
        assert pq.read_schema(earlier.run / f"{name}.parquet").names == schema.names
    assert main(["verify", str(earlier.run)]) == main(["report", str(earlier.run)]) == ExitCode.OK
    fresh = earlier.spec_path("fresh")
    assert main(["audit", str(fresh)]) == ExitCode.OK
    again = earlier.folder / "runs" / "fresh"
    assert others(file_bytes(again)) == others(file_bytes(earlier.run))
    faces = pq.read_table(again / GALLERY_FILE).drop_columns(FACE_SIZE_COLUMN)
    assert faces.equals(pq.read_table(earlier.run / GALLERY_FILE))
    for path in sorted(file_bytes(again, "samples/*.parquet")):
        assert pq.read_table(again / path).equals(pq.read_table(earlier.run / path))


def test_a_lost_shard_is_made_anew_and_the_others_stay(earlier: SmallWorld) -> None:
    before, lost = file_bytes(earlier.run, "samples/*.parquet"), "samples/shard-000003.parquet"
    table = pq.read_table(earlier.run / lost)
    for path in (lost, "samples.json", SCORES_FILE, RESULTS_FILE):
        (earlier.run / path).unlink()
    assert main(["audit", str(earlier.spec_path())]) == ExitCode.OK
    after = file_bytes(earlier.run, "samples/*.parquet")
    assert pq.read_table(earlier.run / lost).equals(table)
    assert before.keys() == after.keys() and {path for path in after if after[path] != before[path]} == {lost}


@pytest.mark.parametrize("job", ["audit", "reduce", "plan"])
def test_a_spec_that_names_a_retired_score_is_refused_in_one_line(
    earlier: SmallWorld, capsys: pytest.CaptureFixture[str], job: str
) -> None:
    before = file_bytes(earlier.run, "**/*.*")
    spec = earlier.spec_path(membership=OF_0_1 | {"scores": ["cohort_norm", "max", "s_norm"]})
    capsys.readouterr()
    assert main([job, str(spec)]) == ExitCode.BAD_SPEC
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "membership.scores: cohort_norm, s_norm are of version 0.1 and not computed any more" in error
    assert "write margin instead" in error
    assert file_bytes(earlier.run, "**/*.*") == before


def test_a_person_is_erased_and_the_others_are_judged_anew(earlier: SmallWorld) -> None:
    with_paths_of(earlier)
    assert main(["purge", str(earlier.run), "--identity", "person-001", "--yes"]) == ExitCode.OK
    store = RunStore(str(earlier.run))
    assert read_results(store).candidates.identities == CANDIDATES - 1
    for path in (SCORES_FILE, NEIGHBOURS_FILE):
        assert pseudonym("person-001") not in store.read_table(path)["identity"].to_pylist()


def test_a_person_is_erased_where_the_others_cannot_be_judged_anew(
    earlier: SmallWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    with_paths_of(earlier)
    with_retired_score(earlier)
    capsys.readouterr()
    code = main(["purge", str(earlier.run), "--identity", "person-001", "--yes"])
    error = capsys.readouterr().err
    assert code == ExitCode.BAD_SPEC
    assert "the person is erased, and the others are not judged anew" in error and "write margin" in error
    store = RunStore(str(earlier.run))
    assert not store.exists(SCORES_FILE) and not store.exists(NEIGHBOURS_FILE)
    assert (
        pseudonym("person-001")
        not in store.read_table("gallery.parquet", ["identity"])["identity"].to_pylist()
    )
    assert main(["audit", str(earlier.spec_path())]) == ExitCode.OK
    assert read_results(store).candidates.identities == CANDIDATES - 1


def test_all_of_it_is_purged(earlier: SmallWorld) -> None:
    with_retired_score(earlier)
    assert main(["purge", str(earlier.run), "--yes"]) == ExitCode.OK
    assert not list(earlier.run.rglob("*.parquet"))


def test_a_run_names_the_version_that_made_it(finished_world: SmallWorld) -> None:
    record = json.loads((finished_world.run / RECORD_FILE).read_text(encoding="utf-8"))
    assert record["version"] == read_results(RunStore(str(finished_world.run))).versions["idleak"]
    assert record["version"] == idleak_version()


OF_LATER = {RECORD_FILE: {"version": "9.1.0"}, RESULTS_FILE: {"versions": {"idleak": "9.1.0"}}}


@pytest.mark.parametrize(
    ("job", "path"),
    [*((job, RECORD_FILE) for job in ("report", "status", "verify", "purge")), ("report", RESULTS_FILE)],
)
def test_a_run_of_a_later_version_says_which_one_opens_it(
    finished_world: SmallWorld, capsys: pytest.CaptureFixture[str], job: str, path: str
) -> None:
    file, options = finished_world.run / path, ["--yes"] if job == "purge" else []
    content = json.loads(file.read_text(encoding="utf-8")) | OF_LATER[path] | {"later": 1}
    file.write_text(json.dumps(content), encoding="utf-8")
    assert main([job, str(finished_world.run), *options]) == ExitCode.REFUSED
    assert capsys.readouterr().err == (
        f"idleak: {finished_world.run} was made by idleak 9.1.0, and this is {idleak_version()}: open it "
        "with 9.1.0 or a later one\n"
    )


def test_which_version_is_later() -> None:
    assert is_later("0.10.0", "0.9.9") and is_later("1.0", "0.2.0") and is_later("0.2.1", "0.2.0")
    assert not is_later("0.2.0", "0.2.0") and not is_later("0.1.1", "0.2.0")
    assert not is_later("of unknown version", "0.2.0")
