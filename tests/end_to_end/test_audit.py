from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from numpy.typing import NDArray

from jobs.__main__ import main
from jobs.cli.exit_codes import ExitCode
from schemas.run.results import AuditResults
from schemas.run.tables import OVER_REPRESENTATION_SCHEMA, SCORES_SCHEMA
from tests.support.people import pseudonym, pseudonyms
from tests.support.small_world import (
    CANDIDATES,
    COHORT,
    MEMBERS,
    PHOTOS,
    TOPK,
    SmallWorld,
    sample_of,
)

pytestmark = pytest.mark.usefixtures("in_process")


def query(sql: str) -> list[Any]:
    return duckdb.execute(sql).fetchall()


def test_the_leaked_people_are_found_and_everything_is_written(
    finished_world: SmallWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    run = finished_world.run
    results = AuditResults.model_validate_json((run / "results.json").read_bytes())
    headline = results.scores[results.headline]
    assert (headline.recognizer, headline.score_name) == ("tiny", "max")
    members = pseudonyms(f"person-{index:03d}" for index in range(MEMBERS))
    assert set(members) <= set(headline.flagged)
    assert headline.evaluation is not None and headline.evaluation.roc_auc.value > 0.95
    assert results.samples.rows == 600 and results.samples.shards_made_now == 6
    assert results.candidates.identities == CANDIDATES and results.cohort.photos == COHORT * PHOTOS
    assert main(["audit", str(finished_world.spec_path())]) == ExitCode.OK
    printed = capsys.readouterr().out
    assert pseudonym("person-000")[:12] in printed and "person-0" not in printed and str(run) in printed


def test_the_tables_keep_their_contract(finished_world: SmallWorld) -> None:
    run = finished_world.run
    names = {
        "samples/*.parquet": ["sample_id", "outcome", "faces", "detection_score", "template_tiny"],
        "gallery.parquet": [
            *("identity", "photo", "role", "outcome", "detection_score", "face_size"),
            "template_tiny",
        ],
        "neighbours.parquet": [
            *("identity", "recognizer", "photos", "rank"),
            *("sample_id", "similarity", "margin", "best_other"),
        ],
        "scores.parquet": SCORES_SCHEMA.names,
        "over_representation.parquet": OVER_REPRESENTATION_SCHEMA.names,
    }
    for pattern, columns in names.items():
        assert [row[0] for row in query(f"describe select * from '{run}/{pattern}'")] == columns
    assert query(
        f"select count(*), count(distinct sample_id), max(sample_id) from '{run}/samples/*.parquet'"
    ) == [(600, 600, 599)]
    assert query(f"select count(*) from '{run}/scores.parquet'") == [((CANDIDATES + COHORT) * 4,)]
    for index in range(MEMBERS):
        person = pseudonym(f"person-{index:03d}")
        nearest = query(
            f"select photos, rank, sample_id, margin > 0, best_other <> identity "
            f"from '{run}/neighbours.parquet' where identity = '{person}' order by rank"
        )
        assert [row[:2] for row in nearest] == [(PHOTOS, rank) for rank in range(1, TOPK + 1)]
        assert nearest[0][2:] == (sample_of(index), True, True)


def test_the_scores_follow_from_the_templates(finished_world: SmallWorld) -> None:
    """`max`, `margin` and their p-values, worked out again in float64 from the templates alone."""
    run = finished_world.run
    names, wanted = scores_by_brute_force(run)
    for score_name, values in wanted.items():
        rows = query(
            f"select identity, score, p_value from '{run}/scores.parquet' "
            f"where role = 'candidate' and score_name = '{score_name}'"
        )
        assert len(rows) == CANDIDATES
        cohort = values[~np.isin(names, [identity for identity, _, _ in rows])]
        for identity, score, p in rows:
            own = values[names.index(identity)]
            assert score == pytest.approx(own, abs=1e-4)
            assert p == pytest.approx((1 + (cohort >= own).sum()) / (COHORT + 1))


def scores_by_brute_force(run: Path) -> tuple[list[str], dict[str, NDArray[np.float64]]]:
    """The people, and their scores in the same order. See docs/method.md."""
    photos = query(f"select identity, template_tiny::double[] from '{run}/gallery.parquet' order by identity")
    samples = query(f"select template_tiny::double[] from '{run}/samples/*.parquet'")
    rows = np.array([template for (template,) in samples])
    centre = rows.sum(axis=0) / (len(rows) + 1)
    names = sorted({identity for identity, _ in photos})
    by_person = [unit(np.array([row for who, row in photos if who == name]) - centre) for name in names]
    people = unit(np.array([templates.mean(axis=0) for templates in by_person]))
    similarity = people @ unit(rows - centre).T
    scores: dict[str, list[float]] = {"max": [], "margin": []}
    for person, own in enumerate(similarity):
        nearest = np.argsort(-own)[:TOPK]
        rivals = np.sort(np.delete(similarity[:, nearest], person, axis=0), axis=0)[-8:]
        margin = own[nearest] - 0.03 * np.log(np.exp(rivals / 0.03).sum(axis=0))
        scores["max"].append(own.max())
        scores["margin"].append(np.log(np.exp(margin / 0.05).sum()))
    return names, {name: np.array(values) for name, values in scores.items()}


def unit(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    scaled: NDArray[np.float64] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return scaled


def test_a_finished_audit_started_again_changes_nothing(finished_world: SmallWorld) -> None:
    spec, run = str(finished_world.spec_path()), finished_world.run
    # The first time it finds that the files of this copy are others, and looks into them.
    assert main(["audit", spec]) == ExitCode.OK
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    assert main(["audit", spec]) == ExitCode.OK
    after = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    assert {path for path in before if path.is_file() and before[path] != after[path]} == set()


def test_a_folder_of_images_is_audited_like_its_generator(small_world: SmallWorld) -> None:
    folder = small_world.folder
    images = {"kind": "images", "path": "candidates"}
    spec = small_world.spec_path("folder", generator=images, samples=CANDIDATES * PHOTOS, shard_size=16)
    faces = {
        "landmarks": [[38.3, 51.7], [73.5, 51.5], [56.0, 71.7], [41.5, 92.4], [70.7, 92.2]],
        "recognizers": [{"name": "tiny", "path": "recognizer.onnx"}],
    }
    spec = small_world.spec_path(
        "folder", generator=images, samples=CANDIDATES * PHOTOS, shard_size=16, faces=faces
    )
    assert main(["audit", str(spec)]) == ExitCode.OK
    results = json.loads((folder / "runs" / "folder" / "results.json").read_text())
    assert results["fingerprint"]["generator.seeded"] == "false"
    # Every candidate's photo is one of the images, and no photo of the cohort is.
    assert results["scores"][0]["verdicts"]["leaked"] == CANDIDATES


def test_an_earlier_gallery_serves_again(finished_world: SmallWorld) -> None:
    gallery = {
        "candidates": {"parquet": "runs/audit/gallery.parquet"},
        "cohort": {"parquet": "runs/audit/gallery.parquet"},
        "detector": False,
    }
    assert main(["audit", str(finished_world.spec_path("second", gallery=gallery))]) == ExitCode.OK
    runs = finished_world.folder / "runs"
    sql = "select * exclude (photos) from '{}/scores.parquet' order by all"
    assert query(sql.format(runs / "audit")) == query(sql.format(runs / "second"))


def test_a_changed_fdr_judges_anew_without_sampling(finished_world: SmallWorld) -> None:
    shards = finished_world.run / "samples"
    before = {path: path.stat().st_mtime_ns for path in shards.iterdir()}
    strict = {"scores": ["max"], "topk": 4, "fdr": 0.001}
    assert main(["audit", str(finished_world.spec_path(membership=strict))]) == ExitCode.OK
    results = json.loads((shards.parent / "results.json").read_text())
    assert results["scores"][0]["verdicts"] == {"leaked": 0, "not detected": 0, "inconclusive": CANDIDATES}
    (reason,) = results["scores"][0]["inconclusive_reasons"]
    assert f"a cohort of {COHORT} people gives no p-value below" in reason
    assert set(results["scores"][0]["at_floor"]) == {
        pseudonym(f"person-00{member}") for member in range(MEMBERS)
    }
    assert {path: path.stat().st_mtime_ns for path in shards.iterdir()} == before


def test_plan_says_what_the_cohort_allows_and_writes_nothing(
    small_world: SmallWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plan", str(small_world.spec_path())]) == ExitCode.OK
    printed = capsys.readouterr().out
    assert "6 of up to 100 samples" in printed
    assert f"{1 / (COHORT + 1):.2g}" in printed
    assert not (small_world.folder / "runs").exists()


def test_verify_names_what_is_missing_and_what_is_damaged(
    finished_world: SmallWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    run = finished_world.run
    assert main(["verify", str(run)]) == ExitCode.OK
    (run / "samples" / "shard-000001.parquet").unlink()
    _flip_a_bit(run / "samples" / "shard-000003.parquet")
    (run / "samples" / "shard-000099.parquet").write_bytes(b"")
    capsys.readouterr()
    assert main(["verify", str(run)]) == ExitCode.DAMAGED
    *lines, counted, next_step = capsys.readouterr().out.splitlines()
    assert counted.startswith("3 problems in") and next_step.startswith("Next: `idleak repair")
    assert [line.split(":")[0] for line in lines] == [
        f"samples/shard-{index:06d}.parquet" for index in (1, 3, 99)
    ]


def test_a_damaged_shard_is_found_before_it_is_scored(
    finished_world: SmallWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = str(finished_world.spec_path())
    _flip_a_bit(finished_world.run / "samples" / "shard-000002.parquet")
    capsys.readouterr()
    assert main(["reduce", spec]) == ExitCode.DAMAGED
    assert "samples/shard-000002.parquet is damaged" in capsys.readouterr().err


def _flip_a_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 1
    path.write_bytes(bytes(data))
