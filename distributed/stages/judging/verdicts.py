"""Verdicts from the samples and the gallery that are there, and all that is written of them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from distributed.execution.executor import Executor, Watch
from distributed.sampling.api.evidence import drop_answers
from distributed.stages.enrolling.enrolment import Enrolment
from distributed.stages.reduce import reduce
from distributed.stages.results.facts import AuditFacts
from distributed.stages.results.write import write_results
from distributed.stages.shards import ShardsMade
from distributed.storage.store import RunStore, open_run
from schemas.spec.audit import AuditSpec


def judge(
    spec: AuditSpec,
    made: ShardsMade,
    enrolment: Enrolment,
    store: RunStore,
    executor: Executor,
    watch: Watch,
    seconds: dict[str, float],
) -> None:
    """Reduce, and write the results where there is a device. Raises as `reduce`.

    seconds: of the jobs before; that of the reduce is added.
    """
    with timed(seconds, "reduce"):
        assessment = reduce(spec, enrolment, store, executor, watch)
    capacity = executor.capacity(spec.resources)
    facts = AuditFacts(spec, made, enrolment, assessment, seconds, capacity.device)
    executor.call(capacity, _write, facts)
    drop_answers(spec.generator, store)


def _write(facts: AuditFacts) -> None:
    """Samples are made again to detect copies, so this is for a machine with the device."""
    write_results(facts, open_run(facts.spec))


@contextmanager
def timed(seconds: dict[str, float], job: str) -> Iterator[None]:
    """Add the wall time of a job."""
    start = time.perf_counter()
    yield
    seconds[job] = time.perf_counter() - start
