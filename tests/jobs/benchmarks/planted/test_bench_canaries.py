"""People planted among a run's samples: who they are, where they are planted, and what is counted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from distributed.reduce.centring import centred
from jobs.__main__ import main
from jobs.benchmarks.planted.canaries import Canaries, as_they_are, by_law
from jobs.benchmarks.planted.canary_audits import outcome_of
from jobs.benchmarks.planted.finished_audit import finished_audit
from jobs.cli.exit_codes import ExitCode
from tests.jobs.benchmarks.test_bench_reduce import rows_of
from tests.support.small_world import CANDIDATES, COHORT, MEMBERS, SmallWorld, file_bytes

SAMPLES = 600


@pytest.fixture
def canaries(finished_world: SmallWorld) -> Canaries:
    return Canaries.of(finished_audit(finished_world.spec()).of_non_members(), 0.6)


def test_everybody_but_members_is_a_candidate_once(canaries: Canaries) -> None:
    people = np.concatenate(canaries.sides)
    everybody = CANDIDATES - MEMBERS + COHORT
    assert canaries.kept == 1 and len(canaries.audit.gallery.names) == everybody
    assert len(set(people.tolist())) == len(people) > everybody - len(canaries.sides[0])


def test_a_side_keeps_half_of_its_photos_and_all_others_are_its_cohort(canaries: Canaries) -> None:
    side, random = canaries.sides[0], np.random.default_rng(0)
    frame = canaries.assessed(side, {}, random).frame
    names = canaries.audit.gallery.names
    assert [frame.gallery.names[person] for person in frame.candidates] == sorted(
        names[person] for person in side
    )
    assert set(frame.gallery.photos_per_identity()[frame.candidates]) == {1}
    assert {group.photos for group in frame.groups} == {1}
    assert sum(len(group.cohort) for group in frame.groups) == len(names) - len(side)


def test_planted_people_score_higher_and_are_not_cleared_at_their_share(canaries: Canaries) -> None:
    side, random = canaries.sides[0], np.random.default_rng(0)
    made = as_they_are(canaries.audit.gallery.templates["tiny"])
    planted = {person: made(np.repeat(canaries.spare[person], 12), random) for person in side.tolist()}
    without, among = (canaries.assessed(side, people, random) for people in ({}, planted))
    scores = [assessed.judgements[0].calibrated.score.mean() for assessed in (without, among)]
    assert scores[1] > scores[0] + 1
    names = [canaries.audit.gallery.names[person] for person in planted]
    outcome = outcome_of(among, "tiny", names, 12 / SAMPLES)
    assert (outcome.planted, outcome.broken, outcome.cleared) == (len(side), 0, 0) and outcome.flagged > 0


def test_a_planted_sample_is_like_its_photo_by_so_much(canaries: Canaries) -> None:
    rows = np.arange(100)
    made = by_law(canaries)(rows, np.random.default_rng(0))
    photos = centred(canaries.audit.gallery.templates["tiny"][rows], canaries.centre)
    cosine = (centred(made, canaries.centre) * photos).sum(axis=1)
    assert cosine.mean() == pytest.approx(0.6, abs=0.1)


def test_the_bench_counts_whom_audits_find_and_clear(finished_world: SmallWorld, tmp_path: Path) -> None:
    output, spec = tmp_path / "canaries.md", str(finished_world.spec_path())
    before = file_bytes(finished_world.run, "**/*.*")
    words = ["--shares", "0.05", "--sides", "1", "--output", str(output)]
    code = main(["bench", "canaries", spec, *words])
    text = output.read_text(encoding="utf-8")
    assert code in (ExitCode.OK, ExitCode.FAILED) and "in one of 2 audits of 600 samples" in text
    rows = [row for row in rows_of(text) if row[1] == "50,000"]
    assert [row[0] for row in rows] == [
        "template law, 0.6",
        "photos as they are",
        "photos as pictures of the generator",
    ]
    assert all(row[2].split(" (")[0].endswith("of 2") for row in rows)
    assert file_bytes(finished_world.run, "**/*.*") == before


def test_a_gallery_too_small_to_flag_one_of_two_is_told(
    finished_world: SmallWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = finished_world.spec_path(membership={"scores": ["margin"], "topk": 4, "fdr": 0.01})
    assert main(["bench", "canaries", str(spec)]) == ExitCode.BAD_SPEC
    assert "too few for audits that could flag one of two candidates" in capsys.readouterr().err
