"""Neighbours, scores and verdicts from the samples and the gallery that are there."""

from __future__ import annotations

from dataclasses import replace

from distributed.execution.executor import Executor, Watch
from distributed.membership.assessment import Assessment
from distributed.stages.enrolling.enrolment import Enrolment
from distributed.stages.fingerprints import verdict_fingerprint
from distributed.stages.judging.assessing import assess_placebo, assess_samples
from distributed.stages.judging.known_people import known_people
from distributed.stages.results.tables import write_tables
from distributed.storage.run_record import record_gallery
from distributed.storage.store import RunStore
from schemas.spec.audit import AuditSpec


def reduce(
    spec: AuditSpec, enrolment: Enrolment, store: RunStore, executor: Executor, watch: Watch
) -> Assessment:
    """Compare all samples with the gallery, judge, and write the tables of neighbours, scores and hits.

    They follow from the shards and the gallery, so earlier ones are replaced.
    """
    record_gallery(store, [notice.text for notice in enrolment.notices])
    known = known_people(spec, enrolment)
    assessment = assess_samples(spec, known, store, executor, watch)
    assessment = replace(assessment, placebo=assess_placebo(spec, known, executor, watch))
    write_tables(spec, assessment, verdict_fingerprint(spec, enrolment.fingerprint), store)
    return assessment
