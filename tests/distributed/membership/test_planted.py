"""Planted samples: what the search would find of people, held against samples that really show them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from distributed.gallery.enrolled import enrolled_gallery
from distributed.membership.assess import VERDICTS_ALONE, KnownPeople, assess
from distributed.membership.planted.ceiling import ceiling_of
from distributed.membership.planted.likeness import ASSUMED, Likeness, likeness_of
from distributed.membership.planted.people import LEAST_SPARE, VARIANTS, held_out, planted
from distributed.membership.planted.sensitivity import first_flagged, planted_scores
from distributed.membership.scores import Evidence, person_scores
from distributed.reduce.centring import centred, fused
from distributed.reduce.margins import Twins
from distributed.reduce.partial import EDGES
from distributed.reduce.search import search
from distributed.stages.results.ceiling import ceiling_result
from distributed.statistics.power import STEPS
from jobs.benchmarks.worlds.simulated import (
    RECOGNIZER,
    JudgedWorld,
    Simulator,
    World,
    in_process,
    judge_world,
    world_spec,
    worlds_like,
    write_world,
)

WORLD = World(3, candidates=30, cohort=400, photos=(2, 5), samples=1500, hubs=0.1, quality="mixed")


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> JudgedWorld:
    return judge_world(WORLD, tmp_path_factory.mktemp("world"), photos=2, scores=("margin", "max"))


def test_a_held_out_photo_is_not_in_the_template(judged: JudgedWorld) -> None:
    frame, centre = judged.frame, judged.compared.centre
    (group,) = frame.groups
    kept = held_out(frame, RECOGNIZER, group, centre)
    gallery, counts = frame.gallery, frame.gallery.photos_per_identity()
    # Enough people have more than the two photos that the audit uses, so only these are planted.
    assert (counts[group.cohort] > 2).sum() >= LEAST_SPARE
    assert kept.person.tolist() == group.cohort[counts[group.cohort] > 2].tolist()
    rows = centred(gallery.templates[RECOGNIZER], centre)
    for place, person in enumerate(kept.person[:20]):
        own = np.flatnonzero(gallery.identity == person)
        spare = rows[own[np.argsort(gallery.rank[own])][2:]]
        expected = spare[np.arange(VARIANTS) % len(spare)]
        np.testing.assert_array_equal(kept.photo[place], expected)
        np.testing.assert_allclose(
            kept.template[place], judged.compared.levels[0][[person] * VARIANTS], atol=1e-6
        )


def test_each_photo_is_left_out_where_all_are_used(tmp_path: Path) -> None:
    world = judge_world(replace(WORLD, photos=(3, 3)), tmp_path, photos=3, scores=("max",))
    frame, centre = world.frame, world.compared.centre
    kept = held_out(frame, RECOGNIZER, frame.groups[0], centre)
    gallery = frame.gallery
    person = int(kept.person[7])
    own = np.flatnonzero(gallery.identity == person)
    own = own[np.argsort(gallery.rank[own])]
    for turn in range(3):
        rest = np.delete(own, turn)
        template = fused(gallery.templates[RECOGNIZER][rest], np.zeros(2, np.int64), np.arange(2), 2, centre)
        np.testing.assert_allclose(kept.template[7, turn], template[0], atol=1e-6)


@pytest.mark.parametrize("likeness", [1.0, 0.8])
def test_planted_samples_are_what_the_search_finds_of_them(judged: JudgedWorld, likeness: float) -> None:
    """The same pictures, put through the real search, have the same similarities, margins and hits."""
    frame, people = judged.frame, judged.compared.levels[0]
    kept = held_out(frame, RECOGNIZER, frame.groups[0], judged.compared.centre)
    samples = centred(judged.drawn.samples.astype(np.float32), judged.compared.centre)
    twins = Twins.none(len(people))
    made = planted(kept, people, twins, samples, likeness)
    rows = kept.photo.reshape(-1, people.shape[1])
    if likeness < 1:
        rest = samples[np.random.default_rng(0).integers(0, len(samples), len(rows))]
        mixed = likeness * rows + np.sqrt(1 - likeness**2) * rest
        rows = (mixed / np.linalg.norm(mixed, axis=1, keepdims=True)).astype(np.float32)
    partial = search(people, rows, np.arange(len(rows)), k=len(rows) // 50)
    for place, person in enumerate(kept.person[:50]):
        own = dict(enumerate(range(place * VARIANTS, (place + 1) * VARIANTS)))
        near = partial.neighbours
        for variant, row in own.items():
            (column,) = (
                np.flatnonzero(near.sample_id[person] == row) if row in near.sample_id[person] else (-1,)
            )
            if column >= 0:
                assert near.similarity[person, column] == pytest.approx(
                    made.similarity[place, variant], abs=1e-5
                )
                assert near.margin[person, column] == pytest.approx(made.margin[place, variant], abs=1e-5)
    hits = np.stack([(made.lead >= edge).sum(axis=1) for edge in EDGES])
    others = np.setdiff1d(np.arange(len(people)), kept.person)
    assert np.abs(partial.margin_hits[:, kept.person] - hits).mean() < 0.5
    assert partial.margin_hits[0, others].sum() < 0.2 * partial.margin_hits[0].sum()


def test_the_score_of_planted_people_is_that_of_an_audit_of_these_samples(judged: JudgedWorld) -> None:
    """Of one person at a time: the samples with the first planted ones among them, searched anew."""
    frame, people, k = judged.frame, judged.compared.levels[0], 16
    samples = centred(judged.drawn.samples.astype(np.float32), judged.compared.centre)
    kept = held_out(frame, RECOGNIZER, frame.groups[0], judged.compared.centre)
    made = planted(kept, people, Twins.none(len(people)), samples, 1.0)
    evidence = Evidence(search(people, samples, np.arange(len(samples)), k=k), k, people.shape[1])
    drawn = np.random.default_rng(0).integers(0, VARIANTS, (len(kept.person) * 16, STEPS[-1]))
    for name in ("margin", "max"):
        scores = planted_scores(evidence, made, name, None)
        for place, draw, step in ((0, 0, 0), (5, 3, 2), (17, 15, 4)):
            added = kept.photo[place][drawn[place * 16 + draw, : STEPS[step]]]
            both = np.concatenate([samples, added])
            again = Evidence(search(people, both, np.arange(len(both)), k=k), k, people.shape[1])
            expected = person_scores(again, [name])[name][kept.person[place]]
            assert scores[place, draw, step] == pytest.approx(expected, abs=2e-3)


def test_who_is_flagged_first_with_how_many() -> None:
    scores = np.full((1, 2, len(STEPS)), 0.0)
    scores[0, 0, 2:] = 5.0
    first = first_flagged(scores, 1.0)
    assert first[0, 2] == 0.5 and first.sum() == 0.5


@pytest.mark.parametrize("truth", [0.6, 0.85, 1.0])
def test_likeness_is_measured_on_the_flagged_and_seldom_too_large(tmp_path: Path, truth: float) -> None:
    world = World(
        5, candidates=40, cohort=400, photos=(3, 4), samples=4000, leaked=15, rate=0.02, likeness=truth
    )
    result = judge_world(world, tmp_path, photos=2, scores=("margin",))
    likeness = result.assessment.reach[RECOGNIZER, "margin"][0].likeness
    assert likeness.source == "measured" and truth - 0.12 < likeness.value <= min(1.0, truth + 0.04)


def test_few_flagged_say_nothing_of_likeness() -> None:
    edges = np.array([0.1, 0.2])
    hits = np.full((2, 4), 100)
    assert likeness_of(None, hits, np.zeros(2), np.ones_like, edges) == Likeness(ASSUMED, "assumed")
    assert likeness_of(0.5, hits, np.zeros(2), np.ones_like, edges) == Likeness(0.5, "spec")


def test_any_split_of_the_samples_gives_the_same_answer(tmp_path: Path, judged: JudgedWorld) -> None:
    spec = world_spec(WORLD, tmp_path, photos=2, scores=("margin", "max")).model_copy(
        update={"shard_size": 77}
    )
    simulator = Simulator(WORLD)
    gallery = enrolled_gallery(write_world(spec, simulator, simulator.draw()), [RECOGNIZER])
    again = assess(spec, KnownPeople(gallery), in_process(spec), VERDICTS_ALONE)
    assert [list(judgement.decisions) for judgement in again.judgements] == [
        list(judgement.decisions) for judgement in judged.judgements
    ]


def test_nobody_is_in_more_samples_than_the_upper_limit_says(tmp_path: Path) -> None:
    """Eight people in 0.5 % of the samples each, and limits that hold for all of them."""
    world, below = World(7, candidates=40, cohort=400, photos=(4, 4), samples=1500, leaked=8, rate=0.005), 0
    for number, variant in enumerate(worlds_like(world, 12)):
        (tmp_path / str(number)).mkdir()
        result = judge_world(variant, tmp_path / str(number), scores=("margin",), likeness=1.0)
        ceiling = result.assessment.ceilings[RECOGNIZER]
        below += bool((ceiling.share[result.leaked()] < world.rate).any())
        assert ceiling.share[~result.leaked()].max() < 0.01
    assert below <= 2


def test_without_enough_people_no_upper_limit_is_known(tmp_path: Path) -> None:
    world = World(7, candidates=5, cohort=71, photos=(3, 3), samples=500)
    result = judge_world(world, tmp_path, scores=("max",), likeness=1.0)
    assert set(result.assessment.ceilings[RECOGNIZER].share.tolist()) == {1.0}
    answer = ceiling_result(result.assessment)
    assert answer is not None and answer.share is None
    assert answer.reason == "it takes 72 people with two photos in each group of the cohort, and there are 71"


def test_a_candidates_hits_do_not_choose_the_margin_that_counts(tmp_path: Path) -> None:
    world = World(7, candidates=20, cohort=300, photos=(4, 4), samples=1000)
    result = judge_world(world, tmp_path, scores=("max",), likeness=1.0)
    partials, frame = result.assessment.partials[RECOGNIZER], result.frame
    kept = held_out(frame, RECOGNIZER, frame.groups[0], result.compared.centre)
    twins = Twins.none(len(result.compared.levels[0]))
    made = planted(kept, result.compared.levels[0], twins, np.empty((0, 0), np.float32), 1.0)
    likeness = Likeness(1.0, "spec")
    before = ceiling_of(frame, RECOGNIZER, partials, [made], likeness)
    hits = partials[0].margin_hits.copy()
    hits[:, frame.candidates[0]] = 900
    after = ceiling_of(frame, RECOGNIZER, [replace(partials[0], margin_hits=hits)], [made], likeness)
    assert after.margin.tolist() == before.margin.tolist() and after.share[0] > 0.85
    np.testing.assert_array_equal(after.share[1:], before.share[1:])
