"""All the stages of an audit, one after another."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from distributed.embedding.licences import licence_warnings
from distributed.execution.executor import Executor, Watch
from distributed.gallery.labels import require_usable_labels
from distributed.membership.assessment import Assessment
from distributed.sampling.api.evidence import drop_answers
from distributed.stages.enroll import Enrolment, enroll
from distributed.stages.fingerprints import placebo_spec, verdict_fingerprint
from distributed.stages.finished import is_finished
from distributed.stages.placebo import sample_placebo
from distributed.stages.planning.shard_size import settle_shards
from distributed.stages.reduce import reduce
from distributed.stages.results.ledger import require_same_ledger
from distributed.stages.results.write import write_results
from distributed.stages.sample import require_usable_generator, sample
from distributed.stages.shards import ShardsMade
from distributed.storage.store import RunStore, open_run
from schemas.fingerprint import Fingerprint
from schemas.spec.audit import AuditSpec

log = logging.getLogger(__name__)


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
    for of in filter(None, (spec, placebo_spec(spec))):
        require_usable_generator(of)
    for warning in licence_warnings(spec.faces, spec.authorisation):
        log.warning("warning: %s", warning)
    require_same_ledger(spec)
    # The gallery is small, and what is wrong with it should be known before the long work.
    with _timed(seconds, "enroll"):
        enrolment = enroll(spec, store, executor, watch)
    on_enrolled(enrolment)
    require_usable_labels(spec, enrolment.table)
    spec = settle_shards(spec, store, executor)
    with _timed(seconds, "sample"):
        made = sample(spec, store, executor, watch)
    with _timed(seconds, "placebo"):
        sample_placebo(spec, executor, watch)
    if made.made_now == 0 and is_finished(spec, store):
        return
    with _timed(seconds, "reduce"):
        assessment = reduce(spec, enrolment, store, executor, watch)
    capacity = executor.capacity(spec.resources)
    fingerprint = verdict_fingerprint(spec, enrolment.fingerprint)
    facts = (made, enrolment, assessment, fingerprint, seconds)
    executor.call(capacity, _write_results, spec, facts, capacity.device)
    drop_answers(spec.generator, store)


Facts = tuple[ShardsMade, Enrolment, Assessment, Fingerprint, dict[str, float]]


def _write_results(spec: AuditSpec, facts: Facts, device: str) -> None:
    """Samples are made again to detect copies, so this is for a machine with the device."""
    made, enrolment, assessment, fingerprint, seconds = facts
    write_results(spec, made, enrolment, assessment, fingerprint, open_run(spec), seconds, device)


@contextmanager
def _timed(seconds: dict[str, float], job: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    seconds[job] = time.perf_counter() - start
