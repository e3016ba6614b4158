"""Verdicts from what an earlier `sample` and `enroll` have left in a run."""

from __future__ import annotations

from distributed.execution.executor import Executor, Watch
from distributed.gallery.labels import require_usable_labels
from distributed.stages.enrolling.gallery_check import require_usable_gallery
from distributed.stages.judging.committed import committed
from distributed.stages.reduce import reduce
from distributed.stages.results.facts import AuditFacts
from distributed.stages.results.write import write_results
from distributed.storage.store import RunStore
from schemas.spec.audit import AuditSpec


def judge_committed(
    spec: AuditSpec,
    store: RunStore,
    executor: Executor,
    watch: Watch,
    *,
    device: str = "cpu",
    checked: bool = True,
) -> None:
    """Reduce what is there, and write the results. device: for samples that are made again. checked: whether
    the gallery and the labels must be usable, as for a first verdict.

    Raises SpecError if `sample` or `enroll` has not been run to its end, and as `reduce`.
    """
    there = committed(spec, store)
    enrolment = there.enrolment
    if checked:
        require_usable_gallery(spec, enrolment.compared, there.source.photos, executor)
        require_usable_labels(spec, enrolment.table)
    assessment = reduce(spec, enrolment, store, executor, watch)
    write_results(AuditFacts(spec, there.made, enrolment, assessment, device=device), store)
