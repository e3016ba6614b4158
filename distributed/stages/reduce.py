"""Neighbours, scores and verdicts from the samples and the gallery that are there."""

from __future__ import annotations

from dataclasses import replace

from distributed.execution.executor import Executor, Watch
from distributed.gallery.attributes import read_attributes
from distributed.gallery.enrolled import enrolled_gallery
from distributed.membership.assess import assess
from distributed.membership.assessment import Assessment
from distributed.stages.enrolling.enrolment import Enrolment
from distributed.stages.fingerprints import verdict_fingerprint
from distributed.stages.passes import Passes
from distributed.stages.placebo import assess_placebo
from distributed.stages.reference import read_reference
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
    attributes = read_attributes(spec)
    record_gallery(store, [notice.text for notice in enrolment.notices])
    with watch("reducing", "samples") as observer:
        passes = Passes(spec, store, executor, observer)
        gallery = enrolled_gallery(
            enrolment.compared, [recognizer.name for recognizer in spec.faces.recognizers]
        )
        reference = None if spec.membership.reference is None else read_reference(spec)
        twins = [pair.people for pair in enrolment.overlap.matches.found]
        assessment = assess(spec, gallery, passes, attributes, reference, twins=twins)
    assessment = replace(assessment, placebo=assess_placebo(spec, enrolment, gallery, executor, watch))
    write_tables(spec, assessment, verdict_fingerprint(spec, enrolment.fingerprint), store)
    return assessment
