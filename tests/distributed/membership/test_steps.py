"""Which steps an assessment reports, and that it gives the same however its files are cut and merged."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from distributed.gallery.enrolled import enrolled_gallery
from distributed.membership.assess import KnownPeople, assess
from distributed.reduce.partial import partial_arrays
from distributed.reduce.queries import group_shards
from distributed.stages.passes import MERGED_AT_ONCE
from jobs.benchmarks.worlds.simulated import RECOGNIZER, Simulator, World, in_process, world_spec, write_world
from schemas.run.shard import ShardReport

WORLD = World(3, candidates=30, cohort=60, photos=(1, 2), samples=300, dimension=16, leaked=3, rate=0.03)


@dataclass
class StepObserver:
    planned: list[int] = field(default_factory=list)
    steps: list[str] = field(default_factory=list)

    def begin(self, done: int, todo: int) -> None:
        self.planned.append(todo)

    def report(self, report: ShardReport) -> None:
        self.steps += [*report.seconds] * report.rows


def test_all_steps_are_reported_and_any_number_of_files_gives_the_same(tmp_path: Path) -> None:
    spec = world_spec(WORLD, tmp_path, scores=["margin", "max"]).model_copy(update={"shard_size": 20})
    simulator, observer = Simulator(WORLD), StepObserver()
    gallery = enrolled_gallery(write_world(spec, simulator, simulator.draw()), [RECOGNIZER])
    whole, many = (
        assess(spec, KnownPeople(gallery), in_process(spec, grouping), observer=observer)
        for grouping in (
            lambda shards, *_: group_shards(shards, 1),
            lambda shards, *_: group_shards(shards, 15),
        )
    )
    assert len(many.prefixes) == 2 * 5 and spec.samples / 20 > MERGED_AT_ONCE
    assert observer.planned == [len(observer.steps) / 2] * 2 and observer.steps.count("scores") == 2 * 5
    for a, b in zip(whole.partials[RECOGNIZER], many.partials[RECOGNIZER], strict=True):
        for name, array in partial_arrays(a, "").items():
            assert np.array_equal(array, partial_arrays(b, "")[name])
    for a_prefix, b_prefix in zip(whole.prefixes, many.prefixes, strict=True):
        assert np.array_equal(a_prefix.scores, b_prefix.scores) and a_prefix.flagged == b_prefix.flagged
