"""The same audit of a generator that nobody of the gallery trained: it must find nobody."""

from __future__ import annotations

from distributed.execution.executor import Executor, Watch
from distributed.gallery.attributes import read_attributes
from distributed.gallery.enrolled import EnrolledGallery
from distributed.membership.assess import VERDICTS_AND_SET, assess
from distributed.membership.assessment import PlaceboOutcome
from distributed.sampling.api.evidence import drop_answers
from distributed.stages.enrolling.enrolment import Enrolment
from distributed.stages.fingerprints import sampling_fingerprint
from distributed.stages.passes import Passes
from distributed.stages.reference import placebo_spec, read_reference
from distributed.stages.sample import sample
from distributed.stages.shards import ShardsMade
from distributed.storage.run_record import with_recorded_shards
from distributed.storage.shard_index import ShardRun, committed_outcomes
from distributed.storage.store import open_run
from schemas.errors import SpecError
from schemas.spec.audit import AuditSpec


def sample_placebo(spec: AuditSpec, executor: Executor, watch: Watch) -> ShardsMade | None:
    """Make the missing shards of the placebo's samples, as large as the audit's; None without one. Raises as
    `sample`."""
    placebo = placebo_spec(with_recorded_shards(spec, open_run(spec)))
    if placebo is None:
        return None
    return sample(placebo, open_run(placebo), executor, watch, "sampling the placebo")


def require_placebo_samples(spec: AuditSpec) -> None:
    """Raise SpecError if shards of the placebo are missing."""
    placebo = placebo_spec(spec)
    if placebo is None:
        return
    run = ShardRun.of_samples(placebo, sampling_fingerprint(placebo))
    missing = len(run.shards) - len(committed_outcomes(run, open_run(placebo)))
    if missing:
        raise SpecError(
            f"{missing} of {len(run.shards)} shards of the placebo are missing: run `idleak sample` first"
        )


def assess_placebo(
    spec: AuditSpec, enrolment: Enrolment, gallery: EnrolledGallery, executor: Executor, watch: Watch
) -> PlaceboOutcome | None:
    """What the headline's score says of the placebo's samples; None without one. Raises as `assess`."""
    placebo = placebo_spec(spec)
    if placebo is None:
        return None
    reference = None if spec.membership.reference is None else read_reference(spec)
    twins = [pair.people for pair in enrolment.overlap.matches.found]
    store = open_run(placebo)
    with watch("reducing the placebo", "samples") as observer:
        assessment = assess(
            placebo,
            gallery,
            Passes(placebo, store, executor, observer),
            read_attributes(spec),
            reference,
            VERDICTS_AND_SET,
            twins,
        )
    drop_answers(placebo.generator, store)
    headline = assessment.judgements[0]
    people = assessment.frame.candidates[headline.flagged()]
    return PlaceboOutcome(
        kind=placebo.generator.kind,
        fingerprint=sampling_fingerprint(placebo).digest,
        samples=min(levels[0].samples for levels in assessment.partials.values()),
        set_p_value=headline.set_p_value,
        flagged=[gallery.names[person] for person in people],
    )
