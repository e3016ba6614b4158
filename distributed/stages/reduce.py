"""Neighbours, scores and verdicts from the samples and the gallery that are there."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from distributed.execution.executor import Executor, Watch
from distributed.gallery.attributes import read_attributes
from distributed.gallery.enrolled import enrolled_gallery
from distributed.membership.assess import VERDICTS_AND_SET, KnownPeople, assess
from distributed.membership.assessment import Assessment, PlaceboOutcome
from distributed.sampling.api.evidence import drop_answers
from distributed.stages.enrolling.enrolment import Enrolment
from distributed.stages.fingerprints import sampling_fingerprint, verdict_fingerprint
from distributed.stages.passes import Passes
from distributed.stages.reference import placebo_spec, read_reference
from distributed.stages.results.tables import write_tables
from distributed.storage.run_record import record_gallery
from distributed.storage.store import RunStore, open_run
from schemas.spec.audit import AuditSpec


def reduce(
    spec: AuditSpec, enrolment: Enrolment, store: RunStore, executor: Executor, watch: Watch
) -> Assessment:
    """Compare all samples with the gallery, judge, and write the tables of neighbours, scores and hits.

    They follow from the shards and the gallery, so earlier ones are replaced. Raises SpecError for attributes
    or a reference run that cannot be used, and as `assess`.
    """
    record_gallery(store, [notice.text for notice in enrolment.notices])
    known = _known_people(spec, enrolment)
    passes = Passes(spec, store, executor, partial(watch, "reducing", "samples"))
    with watch("judging", "steps") as steps:
        assessment = assess(spec, known, passes, observer=steps)
    assessment = replace(assessment, placebo=_assess_placebo(spec, known, executor, watch))
    write_tables(spec, assessment, verdict_fingerprint(spec, enrolment.fingerprint), store)
    return assessment


def _known_people(spec: AuditSpec, enrolment: Enrolment) -> KnownPeople:
    """Whom samples are compared with, and what the spec says of them."""
    names = [recognizer.name for recognizer in spec.faces.recognizers]
    return KnownPeople(
        attributes=read_attributes(spec),
        gallery=enrolled_gallery(enrolment.compared, names),
        reference=None if spec.membership.reference is None else read_reference(spec),
        twins=[pair.people for pair in enrolment.overlap.matches.found],
    )


def _assess_placebo(
    spec: AuditSpec, known: KnownPeople, executor: Executor, watch: Watch
) -> PlaceboOutcome | None:
    """What the headline's score says of the placebo's samples; None without one. It is of a generator that
    nobody of the gallery trained, so it must find nobody."""
    placebo = placebo_spec(spec)
    if placebo is None:
        return None
    store = open_run(placebo)
    passes = Passes(placebo, store, executor, partial(watch, "reducing the placebo", "samples"))
    with watch("judging the placebo", "steps") as steps:
        assessment = assess(placebo, known, passes, VERDICTS_AND_SET, steps)
    drop_answers(placebo.generator, store)
    headline = assessment.judgements[0]
    people = assessment.frame.candidates[headline.flagged()]
    return PlaceboOutcome(
        kind=placebo.generator.kind,
        fingerprint=sampling_fingerprint(placebo).digest,
        samples=min(levels[0].samples for levels in assessment.partials.values()),
        set_p_value=headline.set_p_value,
        flagged=[known.gallery.names[person] for person in people],
    )
