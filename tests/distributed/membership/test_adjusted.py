"""`membership.adjust`: two groups, of which one is more common among candidates than in the cohort."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from distributed.gallery.enrolled import enrolled_gallery
from distributed.membership.assess import KnownPeople, assess
from distributed.storage.store import RunStore
from jobs.benchmarks.worlds.simulated import (
    RECOGNIZER,
    World,
    in_process,
    judge_world,
    world_spec,
    worlds_like,
)
from schemas.run.artefacts import GALLERY_FILE

WORLD = World(5, candidates=60, cohort=600, samples=800, groups=True, photos=(2, 2))


def test_p_values_of_unlike_sides_are_nearer_to_what_they_should_be(tmp_path: Path) -> None:
    means = np.zeros(3)
    for number, world in enumerate(worlds_like(WORLD, 4)):
        for place, columns in enumerate(((), ("group",), ("templates",))):
            folder = tmp_path / f"{number}-{place}"
            folder.mkdir()
            judged = judge_world(world, folder, scores=("max",), adjust=columns)
            means[place] += judged.judgements[0].calibrated.p_value.mean() / 4
    plain, by_group, by_templates = np.abs(means - 0.5)
    assert by_group < by_templates < plain, means


def test_planted_people_are_adjusted_as_the_others_are(tmp_path: Path) -> None:
    judged = judge_world(replace(WORLD, samples=1500), tmp_path, scores=("margin",), adjust=("group",))
    (reach,) = judged.assessment.reach[RECOGNIZER, "margin"]
    assert np.median(reach.planted[:, :, -1]) > np.quantile(reach.cohort, 0.99)
    assert np.isin(reach.own, reach.cohort).all()
    decisions = judged.judgements[0].decisions
    assert any(decision.cleared_at is not None and decision.cleared_at < 0.01 for decision in decisions)


def test_the_group_is_named_as_what_separates_the_sides(tmp_path: Path) -> None:
    judged = judge_world(replace(WORLD, candidates=300), tmp_path, scores=("max",))
    spec = world_spec(replace(WORLD, candidates=300), tmp_path, scores=("max",))
    gallery = enrolled_gallery(RunStore(spec.output).read_table(GALLERY_FILE), [RECOGNIZER])
    roles = assess(spec, KnownPeople(gallery, {"group": judged.truth.group}), in_process(spec)).roles
    assert roles is not None and roles.p_value < 0.01
    assert next(iter(roles.separators)) == "group" and roles.separators["group"] > 0.05
