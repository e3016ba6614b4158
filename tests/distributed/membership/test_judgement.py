"""The statistics end to end: strata, several recognisers, references, unequal photos, nights, lookalikes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import duckdb
import pytest
from PIL import Image

from jobs.__main__ import main
from jobs.cli.exit_codes import ExitCode
from schemas.run.results import AuditResults
from schemas.spec.membership import ScoreName
from tests.support.people import pseudonyms
from tests.support.small_world import CANDIDATES, COHORT, MEMBERS, SmallWorld, default_spec

pytestmark = pytest.mark.usefixtures("in_process")

MEMBERSHIP = default_spec()["membership"]


def audited(world: SmallWorld, name: str, **changes: Any) -> AuditResults:
    assert main(["audit", str(world.spec_path(name, **changes))]) == ExitCode.OK
    return AuditResults.model_validate_json((world.folder / "runs" / name / "results.json").read_bytes())


def query(sql: str) -> list[Any]:
    return duckdb.execute(sql).fetchall()


def test_every_score_is_computed_and_finds_the_members(small_world: SmallWorld) -> None:
    twice = [
        {"name": "tiny", "path": "recognizer.onnx"},
        {"name": "other", "path": "recognizer.onnx", "input": {"channels": "bgr", "std": 60}},
    ]
    faces = default_spec()["faces"] | {"recognizers": twice}
    audited(small_world, "reference", faces=faces, seed=99)
    names = [name for name in get_args(ScoreName) if name != "consensus"]
    membership = MEMBERSHIP | {"scores": [*names, "consensus"], "reference": "runs/reference"}
    results = audited(small_world, "all", faces=faces, membership=membership)
    scores = {(score.recognizer, score.score_name): score for score in results.scores}
    assert len(scores) == 2 * len(names) + 1
    for key in (("tiny", "margin"), ("tiny", "calibrated"), ("all", "consensus")):
        evaluation = scores[key].evaluation
        assert evaluation is not None and evaluation.roc_auc.value > 0.9, key
    assert scores["tiny", "margin"].set_p_value < 0.05 and scores["all", "consensus"].set_p_value < 0.05
    table = small_world.folder / "runs" / "all" / "scores.parquet"
    assert query(f"select count(*) from '{table}' where score_name = 'consensus' and disagreement > 0") == [
        (CANDIDATES,)
    ]


def test_prefixes_power_and_population_are_in_the_results(finished_world: SmallWorld) -> None:
    results = AuditResults.model_validate_json((finished_world.run / "results.json").read_bytes())
    prefixes = results.scores[0].prefixes
    assert [prefix.samples for prefix in prefixes] == [6, 18, 60, 180, 600]
    last = results.scores[0].evaluation
    assert last is not None and prefixes[-1].roc_auc == pytest.approx(last.roc_auc.value)
    assert prefixes[0].roc_auc is not None and prefixes[0].roc_auc < last.roc_auc.value
    assert results.power.groups[0].cohort == COHORT and results.power.groups[0].photos == 2
    assert results.population is not None and results.population.collisions > 0


def test_strata_calibrate_within_themselves(small_world: SmallWorld) -> None:
    names = [f"person-{i:03d}" for i in range(CANDIDATES)] + [f"other-{i:03d}" for i in range(COHORT)]
    lines = [f"{name},{'ab'[index % 2]}" for index, name in enumerate(names)]
    (small_world.folder / "groups.csv").write_text(
        "\n".join(["identity,group", *lines, ""]), encoding="utf-8"
    )
    gallery = default_spec()["gallery"] | {"attributes": "groups.csv"}
    membership = MEMBERSHIP | {"strata": ["group"], "least_stratum": 50}
    results = audited(small_world, "strata", gallery=gallery, membership=membership)
    assert [(group.stratum, group.cohort) for group in results.power.groups] == [
        ("group=a", COHORT // 2),
        ("group=b", COHORT // 2),
    ]
    table = small_world.folder / "runs" / "strata" / "scores.parquet"
    sql = f"""select bool_and(abs(c.p_value - (1 + (select count(*) from '{table}' o where
        o.role = 'cohort' and o.stratum = c.stratum and o.score_name = c.score_name
        and o.score >= c.score)) / 61) < 1e-12)
        from '{table}' c where c.role = 'candidate'"""
    assert query(sql) == [(True,)]


def test_a_stratum_without_its_column_is_refused(
    small_world: SmallWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    (small_world.folder / "groups.csv").write_text("identity,group\n", encoding="utf-8")
    gallery = default_spec()["gallery"] | {"attributes": "groups.csv"}
    membership = MEMBERSHIP | {"strata": ["age"]}
    spec = small_world.spec_path("strata", gallery=gallery, membership=membership)
    assert main(["audit", str(spec)]) == ExitCode.BAD_SPEC
    assert "no column 'age'" in capsys.readouterr().err


def test_candidates_are_matched_with_as_many_photos(small_world: SmallWorld) -> None:
    for index in range(0, CANDIDATES, 2):
        (small_world.folder / "candidates" / f"person-{index:03d}" / "1.png").unlink()
    results = audited(small_world, "unequal")
    assert [(group.photos, group.candidates, group.cohort) for group in results.power.groups] == [
        (1, CANDIDATES // 2, COHORT),
        (2, CANDIDATES // 2, COHORT),
    ]
    members = set(pseudonyms(f"person-{index:03d}" for index in range(MEMBERS)))
    assert len(members & set(results.scores[0].flagged)) >= MEMBERS - 1
    single_photo = audited(small_world, "one", membership=MEMBERSHIP | {"photos": 1})
    assert [group.photos for group in single_photo.power.groups] == [1]


def test_the_median_photo_can_set_the_neighbourhood(
    small_world: SmallWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    audited(small_world, "median", membership=MEMBERSHIP | {"hit": "median"})
    progress = [line for line in capsys.readouterr().err.splitlines() if line.startswith("reducing: ")]
    assert [line.partition(" samples,")[0] for line in progress] == ["reducing: 600 of 600"] * 2, "two passes"
    table = small_world.folder / "runs" / "median" / "neighbours.parquet"
    scores = small_world.folder / "runs" / "median" / "scores.parquet"
    assert query(f"select count(*) from '{scores}' where score_name = 'hit_rate' and score > 0") >= [
        ((CANDIDATES + COHORT) // 2,)
    ]
    assert query(f"select count(*) from '{table}' where rank = 1") == [(CANDIDATES + COHORT,)]


def test_a_lookalike_of_a_leaked_person_is_not_flagged_for_samples_that_fit_that_person_better(
    small_world: SmallWorld,
) -> None:
    """The photos of person-006 are made to look like those of person-000, who is a member."""
    for name in ("0.png", "1.png"):
        photo = Image.open(small_world.folder / "candidates" / "person-000" / name)
        path = small_world.folder / "candidates" / "person-006" / name
        Image.blend(photo, Image.open(path).convert("RGB"), 0.35).save(path)
    membership = MEMBERSHIP | {"scores": ["margin", "max"], "fdr": 0.2}
    results = audited(small_world, "brothers", membership=membership)
    margin = results.scores[0]
    lookalike, member = pseudonyms(["person-006", "person-000"])
    assert member in margin.flagged and lookalike not in margin.flagged
    near = small_world.folder / "runs" / "brothers" / "neighbours.parquet"
    nearest = f"select margin, best_other from '{near}' where identity = '{lookalike}' and rank = 1"
    ((least, other),) = query(nearest)
    assert least < 0 and other == member


def test_flags_say_whether_they_rest_on_a_copy(finished_world: SmallWorld) -> None:
    """The members' photos are samples of the run, so their evidence is copies."""
    results = AuditResults.model_validate_json((finished_world.run / "results.json").read_bytes())
    assert {evidence.identity for evidence in results.evidence} == set(results.scores[0].flagged)
    members = set(pseudonyms(f"person-{index:03d}" for index in range(MEMBERS)))
    kinds = {
        evidence.identity: evidence.kind for evidence in results.evidence if evidence.identity in members
    }
    copies = [kind for kind in kinds.values() if kind == "near-copy"]
    # Two noisy photos may be more like one another than like the sample that both show.
    assert len(copies) >= MEMBERS - 1, results.evidence


def test_nights_share_one_budget(small_world: SmallWorld) -> None:
    nights = [audited(small_world, f"night{seed}", seed=seed, ledger="ledger") for seed in (7, 8)]
    assert [night.ledger.night for night in nights if night.ledger] == [1, 2]
    path = small_world.folder / "ledger" / "ledger.json"
    before = path.read_bytes()
    assert main(["reduce", str(small_world.spec_path("night7", seed=7, ledger="ledger"))]) == ExitCode.OK
    assert path.read_bytes() == before
    assert len(json.loads(before)["nights"]) == 2


def test_a_finished_audit_that_is_given_a_ledger_is_entered(finished_world: SmallWorld) -> None:
    results = audited(finished_world, "audit", ledger="ledger")
    assert results.ledger is not None and results.ledger.night == 1


def test_a_ledger_of_another_rate_or_way_of_judging_is_refused_before_the_long_work(
    small_world: SmallWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    audited(small_world, "first", ledger="ledger")
    for changed in ({"fdr": 0.1}, {"photos": 1}):
        spec: Path = small_world.spec_path("second", ledger="ledger", membership=MEMBERSHIP | changed)
        assert main(["audit", str(spec)]) == ExitCode.REFUSED
        assert "give the spec another `ledger`" in capsys.readouterr().err
    assert not (small_world.folder / "runs" / "second" / "samples").exists()
