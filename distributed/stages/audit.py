"""All the stages of an audit, one after another."""

from __future__ import annotations

from collections.abc import Callable

from distributed.execution.executor import Executor, Watch
from distributed.gallery.labels import require_usable_labels
from distributed.stages.enrolling.enroll import enroll
from distributed.stages.enrolling.enrolment import Enrolment
from distributed.stages.finished import is_finished
from distributed.stages.judging.verdicts import judge, timed
from distributed.stages.placebo import sample_placebo
from distributed.stages.planning.shard_size import settle_shards
from distributed.stages.preconditions import require_usable
from distributed.stages.sample import sample
from distributed.storage.store import RunStore
from schemas.spec.audit import AuditSpec


def audit(
    spec: AuditSpec,
    store: RunStore,
    executor: Executor,
    watch: Watch,
    on_enrolled: Callable[[Enrolment], object],
) -> None:
    """Do what is not done yet of the whole audit. Raises what `enroll`, `sample` and `reduce` raise.

    `on_enrolled` is called with the enrolled gallery before the long work begins.
    """
    seconds: dict[str, float] = {}
    require_usable(spec)
    # The gallery is small, and what is wrong with it should be known before the long work.
    with timed(seconds, "enroll"):
        enrolment = enroll(spec, store, executor, watch)
    on_enrolled(enrolment)
    require_usable_labels(spec, enrolment.table)
    spec = settle_shards(spec, store, executor)
    with timed(seconds, "sample"):
        made = sample(spec, store, executor, watch)
    if spec.membership.placebo is not None:
        with timed(seconds, "placebo"):
            sample_placebo(spec, executor, watch)
    if made.made_now == 0 and is_finished(spec, store):
        return
    judge(spec, made, enrolment, store, executor, watch, seconds)
