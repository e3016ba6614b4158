"""All the stages of an audit, one after another."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from distributed.execution.cluster import Cluster
from distributed.gallery.labels import require_usable_labels
from distributed.membership.assessment import Reduction
from distributed.stages.answers import drop_answers
from distributed.stages.enroll import Enrolment, enroll
from distributed.stages.finished import is_finished
from distributed.stages.reduce import reduce
from distributed.stages.results import write_results
from distributed.stages.sample import require_usable_generator, sample
from distributed.stages.shards import ShardsMade
from distributed.stages.verdict_fingerprint import verdict_fingerprint
from distributed.storage.store import RunStore, open_run
from jobs.cli.findings import refused_lines
from schemas.fingerprint import Fingerprint
from schemas.run.overlap import OverlapResult
from schemas.spec.audit import AuditSpec


def audit(
    spec: AuditSpec,
    store: RunStore,
    cluster: Cluster,
    on_refused: Callable[[Sequence[str]], object],
    on_overlap: Callable[[OverlapResult], object] = lambda overlap: None,
) -> None:
    """Do what is not done yet of the whole audit. Raises what `enroll`, `sample` and `reduce` raise.

    `on_refused` gets a line, which names the identity, for each photo that is refused; `on_overlap` hears who
    may be in the gallery twice, both before the first sample.
    """
    seconds: dict[str, float] = {}
    require_usable_generator(spec)
    # The gallery is small, and what is wrong with it had better be known before the long work.
    with _timed(seconds, "enroll"):
        enrolment = enroll(spec, store, cluster)
    on_refused(refused_lines(enrolment.table))
    on_overlap(enrolment.overlap)
    require_usable_labels(spec, enrolment.table)
    with _timed(seconds, "sample"):
        made = sample(spec, store, cluster)
    if made.made_now == 0 and is_finished(spec, store):
        return
    with _timed(seconds, "reduce"):
        reduction = reduce(spec, enrolment, store, cluster)
    capacity = cluster.capacity(spec.resources)
    fingerprint = verdict_fingerprint(spec, enrolment.fingerprint)
    facts = (made, enrolment, reduction, fingerprint, seconds)
    cluster.call(capacity, _write_results, spec, facts, capacity.device)
    drop_answers(spec.generator, store)


Facts = tuple[ShardsMade, Enrolment, Reduction, Fingerprint, dict[str, float]]


def _write_results(spec: AuditSpec, facts: Facts, device: str) -> None:
    """Samples are made again to tell copies, so this is for a machine with the device."""
    made, enrolment, reduction, fingerprint, seconds = facts
    write_results(spec, made, enrolment, reduction, fingerprint, open_run(spec), seconds, device)


@contextmanager
def _timed(seconds: dict[str, float], job: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    seconds[job] = time.perf_counter() - start
