"""One person counted as two: refused where it is sure, left out or reported where it is likely."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from distributed.storage.results_file import read_results
from distributed.storage.store import RunStore
from distributed.storage.trail import entries
from jobs.__main__ import main
from jobs.cli.exit_codes import ExitCode
from jobs.cli.findings import summary_lines
from schemas.run.results import AuditResults
from tests.support.in_process import tasks_in_process
from tests.support.people import pseudonym
from tests.support.recognisable_world import make_recognisable, reencode, write_variant
from tests.support.small_world import COHORT, SmallWorld

pytestmark = pytest.mark.usefixtures("in_process")

LEAKED, DOUBLE = "person-002", "stranger"


@pytest.fixture(scope="module")
def recognisable(world_template: SmallWorld, tmp_path_factory: pytest.TempPathFactory) -> SmallWorld:
    """Tests must not change it."""
    return make_recognisable(world_template.copy(tmp_path_factory.mktemp("recognisable") / "world"))


@pytest.fixture
def world(recognisable: SmallWorld, tmp_path: Path) -> SmallWorld:
    return recognisable.copy(tmp_path / "world")


@pytest.fixture(scope="module")
def doubled_template(recognisable: SmallWorld, tmp_path_factory: pytest.TempPathFactory) -> SmallWorld:
    """Audited as it is, and as `doubled` with a leaked candidate's photos, encoded anew, in the cohort."""
    world = recognisable.copy(tmp_path_factory.mktemp("doubled") / "world")
    with tasks_in_process():
        assert main(["audit", str(world.spec_path("alone"))]) == ExitCode.OK
        reencode(world.folder / "candidates" / LEAKED, world.folder / "cohort" / DOUBLE)
        assert main(["audit", str(world.spec_path("doubled"))]) == ExitCode.OK
    return world


@pytest.fixture
def doubled(doubled_template: SmallWorld, tmp_path: Path) -> SmallWorld:
    return doubled_template.copy(tmp_path / "world")


def results_of(world: SmallWorld, name: str) -> AuditResults:
    return read_results(RunStore(str(world.folder / "runs" / name)))


def run(job: str, spec: Path, capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, str]:
    """The exit code and all that was printed."""
    capsys.readouterr()
    code = main([job, str(spec), *options])
    output = capsys.readouterr()
    return code, output.out + output.err


@pytest.mark.parametrize("side", ["cohort", "candidates"])
def test_equal_files_under_two_names_are_refused_before_anything_is_sampled(
    world: SmallWorld, capsys: pytest.CaptureFixture[str], side: str
) -> None:
    shutil.copytree(world.folder / "candidates" / LEAKED, world.folder / side / DOUBLE)
    code, output = run("audit", world.spec_path(), capsys)
    assert code == ExitCode.BAD_SPEC
    assert output.count("idleak:") == 1 and "share 2" in output
    assert pseudonym(LEAKED) in output and pseudonym(DOUBLE) in output
    assert LEAKED not in output and DOUBLE not in output
    assert not (world.run / "samples").exists() and not (world.run / "gallery.parquet").exists()
    code, output = run("enroll", world.spec_path(), capsys, "--reveal")
    assert code == ExitCode.BAD_SPEC and LEAKED in output and DOUBLE in output
    assert pseudonym(LEAKED) not in output
    assert "reveal" in [act.action for act in entries(RunStore(str(world.run)))]
    shutil.rmtree(world.folder / side / DOUBLE)
    assert main(["enroll", str(world.spec_path())]) == ExitCode.OK


def test_one_equal_file_is_enough(world: SmallWorld, capsys: pytest.CaptureFixture[str]) -> None:
    cohort = world.folder / "cohort"
    shutil.copy(cohort / "other-004" / "0.png", cohort / "other-009" / "2.png")
    code, output = run("enroll", world.spec_path(), capsys)
    assert code == ExitCode.BAD_SPEC and "share 1" in output


def test_a_run_from_before_the_check_is_refused_too(
    world: SmallWorld, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(world.folder / "candidates" / LEAKED, world.folder / "cohort" / DOUBLE)
    with monkeypatch.context() as before:
        for module in ("gallery.usable", "stages.enrolling.enrolment"):
            before.setattr(f"distributed.{module}.require_each_once", lambda *_: None)
        assert main(["audit", str(world.spec_path())]) == ExitCode.OK
    for job in ("enroll", "reduce"):
        code, output = run(job, world.spec_path(), capsys)
        assert code == ExitCode.BAD_SPEC and pseudonym(DOUBLE) in output


def test_a_double_in_the_cohort_is_left_out_and_changes_no_verdict(doubled: SmallWorld) -> None:
    alone, both = results_of(doubled, "alone"), results_of(doubled, "doubled")
    assert alone.overlap is not None and alone.overlap.left_out == [] and not alone.overlap.matches.found
    assert both.overlap is not None and both.overlap.left_out == [pseudonym(DOUBLE)]
    (match,) = both.overlap.matches.found
    assert set(match.people) == {pseudonym(LEAKED), pseudonym(DOUBLE)} and match.similarity > 0.99
    assert both.cohort == alone.cohort and both.cohort.identities == COHORT
    assert both.power == alone.power and both.power.cohort == COHORT
    assert both.scores == alone.scores and pseudonym(LEAKED) in both.scores[0].flagged
    for name in ("scores", "neighbours", "over_representation"):
        tables = [
            pq.read_table(doubled.folder / "runs" / run / f"{name}.parquet") for run in ("alone", "doubled")
        ]
        assert tables[0].equals(tables[1]), name


def test_who_is_left_out_stands_in_what_is_printed_and_on_the_first_screen(
    doubled: SmallWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    run_folder = str(doubled.folder / "runs" / "doubled")
    # The copy's photos lie elsewhere, and nothing else has changed.
    _, named = run("audit", doubled.spec_path("doubled"), capsys)
    _, unnamed = run("audit", doubled.spec_path("doubled"), capsys, "--unnamed")
    for output in (named, unnamed):
        assert "warning: 1 person of the cohort is left out of the audit" in output
    short = pseudonym(DOUBLE)[:12]
    assert f"left out: {short}" in named and short not in unnamed
    assert main(["report", run_folder]) == ExitCode.OK
    page = (doubled.folder / "runs" / "doubled" / "report.html").read_text(encoding="utf-8")
    first_screen, _, sections = page.partition("People flagged as leaked")
    assert "1 person of the cohort is left out of the audit" in first_screen
    assert f"left out: {short}" in sections and DOUBLE not in page
    assert main(["report", run_folder, "--reveal"]) == ExitCode.OK
    page = (doubled.folder / "runs" / "doubled" / "report.html").read_text(encoding="utf-8")
    assert f"left out: {DOUBLE}" in page


def test_who_is_left_out_stays_so_when_somebody_else_is_erased(
    doubled: SmallWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = doubled.spec_path("doubled")
    # The copy's record names the photos and models of the copy.
    assert main(["sample", str(spec)]) == ExitCode.OK
    where = str(doubled.folder / "runs" / "doubled")
    assert main(["purge", where, "--identity", "other-001", "--yes"]) == ExitCode.OK
    results = results_of(doubled, "doubled")
    assert results.overlap is not None and results.overlap.left_out == [pseudonym(DOUBLE)]
    assert results.cohort.identities == results.power.cohort == COHORT - 1
    # With LEAKED erased, DOUBLE is no duplicate: the run is what it would be without LEAKED's photos. That
    # DOUBLE may be the person who was to be erased is said before and after.
    stays = f"the photos of {pseudonym(DOUBLE)} match theirs as those of one person do, and stay in the run"
    for choice in ("--dry-run", "--yes"):
        capsys.readouterr()
        assert main(["purge", where, "--identity", LEAKED, choice]) == ExitCode.OK
        assert stays in " ".join(capsys.readouterr().out.split())
    results = results_of(doubled, "doubled")
    assert results.overlap is not None and results.overlap.left_out == []
    assert pseudonym(LEAKED) not in Path(where, "results.json").read_text(encoding="utf-8")


def test_earlier_galleries_are_compared_by_templates(
    doubled: SmallWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    earlier = {"parquet": "runs/doubled/gallery.parquet"}
    gallery: dict[str, Any] = {"candidates": earlier, "cohort": earlier, "detector": False}
    assert main(["audit", str(doubled.spec_path("again", gallery=gallery))]) == ExitCode.OK
    again = results_of(doubled, "again")
    assert again.overlap is not None and again.overlap.left_out == [pseudonym(DOUBLE)]
    # An equal template stands in for an equal file.
    path = doubled.folder / "runs" / "doubled" / "gallery.parquet"
    table = pq.read_table(path)
    leaked = table.filter(pc.equal(table["identity"], pseudonym(LEAKED))).slice(0, 1)
    rows = table.to_pylist()
    place = next(at for at, row in enumerate(rows) if row["identity"] == pseudonym(DOUBLE))
    rows[place]["template_tiny"] = leaked["template_tiny"][0].as_py()
    pq.write_table(pa.Table.from_pylist(rows, table.schema), path)
    code, output = run("enroll", doubled.spec_path("equal", gallery=gallery), capsys)
    assert code == ExitCode.BAD_SPEC and "share 1" in output and pseudonym(DOUBLE) in output


def test_what_is_only_likely_is_reported_and_nobody_is_left_out_for_it(
    world: SmallWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    candidates = world.folder / "candidates"
    reencode(candidates / "person-010", candidates / "person-099")
    (candidates / "person-011").rename(candidates / "Anna")
    (candidates / "person-012").rename(candidates / "anna")
    shutil.copy(candidates / "person-013" / "1.png", candidates / "person-013" / "2.png")
    code, output = run("enroll", world.spec_path(), capsys)
    assert code == ExitCode.OK
    who = {name: pseudonym(name)[:12] for name in ("person-010", "person-099", "Anna", "anna", "person-013")}
    assert "photos of 1 pair of candidates match as those of one person do" in output
    assert f"{' and '.join(sorted([who['person-010'], who['person-099']]))}, similarity" in output
    assert "1 pair of people have names that differ in case, spaces or forms of Unicode alone" in output
    assert f"  {' and '.join(sorted([who['Anna'], who['anna']]))}\n" in output
    assert "1 person has the same photo more than once" in output and f"  {who['person-013']}: " in output
    assert "left out" not in output


def test_a_photo_of_somebody_else_in_a_folder_is_named(
    world: SmallWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, random = world.folder / "candidates" / "person-014", np.random.default_rng(0)
    write_variant(folder / "0.png", folder / "2.png", random)
    write_variant(world.folder / "cohort" / "other-050" / "0.png", folder / "3.png", random)
    code, output = run("enroll", world.spec_path(), capsys, "--reveal")
    assert code == ExitCode.OK
    assert "1 photo of 1 person is no more like the person's other photos than a stranger's may be" in output
    assert "  person-014: photo 3.png, similarity" in output


def test_of_one_who_is_in_the_cohort_twice_one_stays(
    world: SmallWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    reencode(world.folder / "cohort" / "other-003", world.folder / "cohort" / "other-200")
    _, output = run("enroll", world.spec_path(), capsys)
    first, second = sorted(pseudonym(name) for name in ("other-003", "other-200"))
    assert "1 person of the cohort is left out" in output
    assert f"cohort {first[:12]} and cohort {second[:12]}" in output and f"left out: {second[:12]}" in output


def test_a_cohort_that_is_the_candidates_again_is_refused(
    world: SmallWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(world.folder / "cohort")
    (world.folder / "cohort").mkdir()
    for folder in sorted((world.folder / "candidates").iterdir()):
        reencode(folder, world.folder / "cohort" / f"{folder.name}-again")
    code, output = run("enroll", world.spec_path(), capsys)
    assert code == ExitCode.BAD_SPEC and "fewer than 2 are left: give a cohort of other people" in output
    assert not (world.run / "gallery.parquet").exists()


def test_a_gallery_too_small_to_say_is_not_guessed_at(
    world: SmallWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    for index in range(20, 120):
        shutil.rmtree(world.folder / "cohort" / f"other-{index:03d}")
    for index in range(9, 20):
        shutil.rmtree(world.folder / "candidates" / f"person-{index:03d}")
    _, output = run("enroll", world.spec_path(), capsys)
    assert "not checked by templates: 29 people are too few to tell how alike two people are" in output


def test_a_recogniser_that_knows_nobody_is_said_to(
    small_world: SmallWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the common miniature world, photos of one person are as unlike as those of two."""
    _, output = run("enroll", small_world.spec_path(), capsys)
    assert "tiny does not tell these people apart" in output and "left out" not in output


def test_results_of_an_earlier_version_are_still_read(finished_world: SmallWorld) -> None:
    path = finished_world.run / "results.json"
    content = json.loads(path.read_bytes())
    del content["overlap"]
    path.write_text(json.dumps(content | {"results_version": 3}), encoding="utf-8")
    results = read_results(RunStore(str(finished_world.run)))
    assert results.overlap is None
    assert not [line for line in summary_lines(results, results.scores[0]) if "left out" in line]
    assert main(["report", str(finished_world.run)]) == ExitCode.OK
