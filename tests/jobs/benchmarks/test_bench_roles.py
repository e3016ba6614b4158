"""Roles drawn anew: what a draw says is what an audit with these roles says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pytest

from distributed.membership.frame import calibrate
from distributed.storage.store import RunStore
from jobs.__main__ import main
from jobs.benchmarks.roles.people import people_of
from jobs.benchmarks.roles.splits import Split, frame_of
from jobs.cli.exit_codes import ExitCode
from schemas.run.artefacts import SCORES_FILE
from tests.jobs.benchmarks.test_bench_reduce import rows_of
from tests.support.small_world import CANDIDATES, MEMBERS, SmallWorld, file_bytes


def test_with_the_audits_own_roles_everybody_has_the_audits_p_value(finished_world: SmallWorld) -> None:
    spec = finished_world.spec()
    people = people_of(spec, [])
    assert people.member.sum() == MEMBERS and people.candidates == CANDIDATES - MEMBERS
    own = np.flatnonzero([role == "candidate" for role in people.gallery.roles])
    frame = frame_of(people, own[~people.member[own]], Split("at random"))
    scores = RunStore(str(finished_world.run)).read_table(SCORES_FILE)
    for key in people.scores:
        calibrated = calibrate(frame, people.of_levels(key, frame.levels))
        rows = scores.filter((pc.field("score_name") == key[1]) & (pc.field("role") == "candidate"))
        p_values = dict(zip(rows["identity"].to_pylist(), rows["p_value"].to_pylist(), strict=True))
        names = [people.gallery.names[person] for person in frame.candidates]
        assert p_values == dict(zip(names, calibrated.p_value.tolist(), strict=True))
    assert {key[1] for key in people.scores} == {"max", "topk_mean", "margin"}


def test_half_of_each_draws_people_may_be_calibrated_apart(finished_world: SmallWorld) -> None:
    membership = {"scores": ["margin"], "least_stratum": 20}
    people = people_of(finished_world.spec(membership=membership), [100])
    upper = np.arange(len(people.gallery.names)) % 2 == 0
    others = np.flatnonzero(~people.member)[: people.candidates]
    frame = frame_of(people, others, Split("hostile", upper, strata=True, members=False))
    assert sorted(frame.candidates) == sorted(others)
    for group in frame.groups:
        everybody = np.concatenate([group.candidates, group.cohort])
        assert len(set(upper[everybody].tolist())) == 1 and not people.member[everybody].any()


def test_a_bench_of_a_finished_audit_says_how_often_flags_are_false(
    finished_world: SmallWorld, tmp_path: Path
) -> None:
    output, spec = tmp_path / "roles.md", str(finished_world.spec_path())
    before = file_bytes(finished_world.run, "**/*.*")
    code = main(["bench", "roles", spec, "--draws", "20", "--samples", "300", "600", "--output", str(output)])
    text = output.read_text(encoding="utf-8")
    assert code in (ExitCode.OK, ExitCode.FAILED) and "20 times" in text and "interleaved" not in text
    rows = [row for row in rows_of(text) if row[0] == "tiny"]
    assert {row[2] for row in rows} == {"300", "600"} and {row[3] for row in rows} == {"bh", "auto"}
    powers = {row[2]: float(row[6].split()[0]) for row in rows if row[1:5:3] == ["margin", "at random"]}
    assert powers["600"] > 0.1
    assert file_bytes(finished_world.run, "**/*.*") == before


@pytest.mark.parametrize("changes", [{"labels": None}, {}])
def test_an_audit_that_roles_cannot_be_drawn_of_is_told(
    finished_world: SmallWorld, capsys: pytest.CaptureFixture[str], changes: dict[str, None]
) -> None:
    gallery = finished_world.spec().gallery.model_dump(mode="json") | changes
    membership = {"scores": ["hit_rate"]} if not changes else {"scores": ["margin"]}
    spec = finished_world.spec_path("other", gallery=gallery, membership=membership)
    assert main(["bench", "roles", str(spec)]) == ExitCode.BAD_SPEC
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "gallery.labels, and margin, max or topk_mean" in error
