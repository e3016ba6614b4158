"""The mean of a run's samples: from the shards' footers where they tell it, else from the templates."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from distributed.execution.executor import Job, Observer, TaskT
from distributed.execution.local import LocalExecutor
from distributed.gallery.enrolled import template_rows
from distributed.stages.passes import Passes
from distributed.storage.store import RunStore
from schemas.run.artefacts import SAMPLES_PREFIX
from schemas.run.shard import LostShard
from tests.support.small_world import SmallWorld

RECOGNIZER = "tiny"


class NoExecutor(LocalExecutor):
    """Fails if it is asked for anything."""

    def run(self, job: Job[TaskT], tasks: Sequence[TaskT], observer: Observer) -> list[LostShard]:
        raise AssertionError("a pass was started")


def test_footers_tell_the_mean_of_all_templates(finished_world: SmallWorld) -> None:
    spec, store = finished_world.spec(), RunStore(str(finished_world.run))
    paths = sorted(store.sizes(SAMPLES_PREFIX))
    templates = np.concatenate([template_rows(store.read_table(path), RECOGNIZER) for path in paths])
    centres = Passes(spec, store, NoExecutor()).centres()
    expected = templates.astype(np.float64).sum(axis=0) / (len(templates) + 1)
    assert len(templates) == spec.samples and np.array_equal(centres[RECOGNIZER], expected)


@pytest.mark.parametrize("shards", [1, 2])
def test_shards_of_an_earlier_version_are_read(finished_world: SmallWorld, shards: int) -> None:
    spec, store = finished_world.spec(), RunStore(str(finished_world.run))
    before = Passes(spec, store, NoExecutor()).centres()
    for path in sorted(store.sizes(SAMPLES_PREFIX))[-shards:]:
        footer = store.read_footer(path).model_copy(update={"template_sums": {}})
        store.write_table(path, store.read_table(path), footer)
    with pytest.raises(AssertionError, match="a pass was started"):
        Passes(spec, store, NoExecutor()).centres()
    after = Passes.here(spec, store).centres()
    assert before.keys() == after.keys() and np.array_equal(before[RECOGNIZER], after[RECOGNIZER])
