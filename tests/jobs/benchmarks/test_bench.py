from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from jobs import bench
from jobs.__main__ import main
from jobs.benchmarks.worlds.claims import CLAIMS, markdown
from jobs.benchmarks.worlds.exact import exact_scores, max_of_photos
from jobs.benchmarks.worlds.measures import Mean, Row, Share
from jobs.benchmarks.worlds.simulated import Simulator, World, judge_world, worlds_like
from jobs.cli.exit_codes import ExitCode
from schemas.run.tables import Verdict

SMALL = World(3, candidates=12, cohort=260, photos=(1, 2), samples=800, hubs=0.1, leaked=2, rate=0.05)
FAST = ("null", "p_values", "hits", "identities", "nights", "exactness")


@pytest.mark.slow
def test_a_quick_bench_writes_a_row_and_a_plot_of_each_claim(tmp_path: Path) -> None:
    code = main(["bench", "worlds", "--worlds", "2", "--output", str(tmp_path), "--only", *FAST])
    lines = (tmp_path / "worlds.md").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "| claim | bar | measured | worlds | verdict |"
    verdicts = [line.split(" | ")[-1].removesuffix(" |") for line in lines[2:]]
    assert set(verdicts) <= {"holds", "FAILS", "reported"} and code == int("FAILS" in verdicts)
    claims = "\n".join(line.split(" | ")[0] for line in lines[2:])
    for part in ("null worlds", "P(p ≤ 0.01)", "hits per million", "number of identities", "null nights"):
        assert part in claims
    assert {path.stem for path in tmp_path.glob("*.png")} == set(FAST)
    exact = [
        line for line in lines if "the same bytes" in line or "brute force" in line or "leaving out" in line
    ]
    assert len(exact) == 3 and all(line.endswith("| holds |") for line in exact)


def test_a_tiny_world_end_to_end(tmp_path: Path) -> None:
    judged = judge_world(SMALL, tmp_path, scores=("max",))
    verdicts = dict(zip(judged.leaked().tolist(), judged.judgements[0].verdicts(), strict=False))
    assert judged.leaked().sum() == 2 and set(verdicts) == {True, False}
    flagged = judged.judgements[0].flagged()
    assert flagged[judged.leaked()].all() and flagged.sum() <= 3
    assert judged.judgements[0].verdicts()[int(np.flatnonzero(judged.leaked())[0])] is Verdict.LEAKED
    rates = judged.hits.per_million
    assert rates[judged.leaked()].min() > 5 * rates[~judged.leaked()].mean()
    exact = np.stack(exact_scores(judged, topk=16)["max"])
    np.testing.assert_allclose(judged.assessment.scores["world", "max"], exact, atol=1e-5)
    photos = [row.astype(float) / np.linalg.norm(row.astype(float)) for row in judged.drawn.gallery]
    samples = judged.drawn.samples.astype(float)
    samples /= np.linalg.norm(samples, axis=1, keepdims=True)
    own = [float((samples @ photos[row]).max()) for row in np.flatnonzero(judged.drawn.identity == 3)]
    assert max_of_photos(judged)[3] == pytest.approx(np.mean(own))


def test_the_truth_is_what_was_drawn() -> None:
    simulator = Simulator(replace(SMALL, samples=20_000, people=300, siblings=3))
    drawn, truth = simulator.draw(), simulator.truth()
    names = simulator.names()
    assert truth.rate == {names[person]: 0.05 for person in simulator.leaked} and len(truth.rate) == 2
    assert truth.identities == pytest.approx(1 / (2 * 0.05**2 + 0.9**2 / 300))
    assert len(truth.siblings) == 3 and not truth.siblings & set(truth.rate)
    for person in simulator.leaked:
        share = (drawn.sampled == person).mean()
        assert abs(share - 0.05) < 5 * np.sqrt(0.05 * 0.95 / 20_000)
        own, other = (drawn.samples[drawn.sampled == kind].astype(float) for kind in (person, -1))
        photo = drawn.gallery[drawn.identity == person][0].astype(float)
        assert abs((own @ photo).mean() - 0.65) < 0.05 and (other @ photo).mean() < 0.3
    assert set(np.unique(drawn.sampled)) == {-1, *simulator.leaked}
    assert np.array_equal(np.unique(drawn.identity), np.arange(SMALL.candidates + SMALL.cohort))


def test_poor_photos_are_less_like_their_person_and_hubs_like_everybody() -> None:
    simulator = Simulator(World(0, candidates=400, hubs=0.3, quality="mixed", photos=(2, 2)))
    drawn, people = simulator.draw(), simulator.candidates
    first, second = drawn.gallery[:800].astype(float).reshape(400, 2, -1).transpose(1, 0, 2)
    mated = (first * second).sum(axis=1)
    assert mated[people.poor].mean() < mated[~people.poor].mean() - 0.05
    similarity = people.direction @ people.direction.T
    np.fill_diagonal(similarity, np.nan)
    mean = np.nanmean(similarity, axis=1)
    assert 0.2 < (mean > 0.12).mean() < 0.4


def test_worlds_follow_from_their_seed() -> None:
    a, b = (Simulator(world).draw() for world in (SMALL, SMALL))
    assert a.gallery.tobytes() == b.gallery.tobytes() and a.samples.tobytes() == b.samples.tobytes()
    assert worlds_like(SMALL, 3) == worlds_like(SMALL, 3)
    assert len({world.seed for world in worlds_like(SMALL, 50)}) == 50


def test_worlds_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="rates exceed 1"):
        World(0, leaked=20, rate=0.1)
    with pytest.raises(ValueError, match="nobody is leaked"):
        World(0, siblings=1)


def test_shares_means_and_verdicts() -> None:
    assert str(Share(0, 10)) == "0.0 % [0.0, 30.8]" and str(Share(5, 10)) == "50.0 % [18.7, 81.3]"
    assert Share(9, 300).at_most(0.05) and not Share(11, 300).at_most(0.05)
    assert Mean.of([1.0, 3.0]) == Mean(2.0, 1.0)
    assert Mean(0.05, 0.005).at_most(0.05) and not Mean(0.051, 0.005).at_most(0.05)
    rows = [Row("a", "b", "c", 1000, holds) for holds in (True, False, None)]
    assert [line.split(" | ")[-1] for line in markdown(rows).splitlines()[2:]] == [
        "holds |",
        "FAILS |",
        "reported |",
    ]


def test_a_bad_number_of_worlds_is_refused() -> None:
    assert main(["bench", "worlds", "--worlds", "0"]) == ExitCode.BAD_SPEC


def test_the_claims_that_can_be_asked_for_are_those_there_are() -> None:
    assert tuple(CLAIMS) == bench.CLAIMS
