"""What the samples of a run, and of its placebo, say of the people that they are compared with."""

from __future__ import annotations

from distributed.execution.executor import Executor, Watch
from distributed.membership.assess import VERDICTS_AND_SET, KnownPeople, assess
from distributed.membership.assessment import Assessment, PlaceboOutcome
from distributed.sampling.api.evidence import drop_answers
from distributed.stages.fingerprints import sampling_fingerprint
from distributed.stages.passes import Passes
from distributed.stages.reference import placebo_spec
from distributed.storage.store import RunStore, open_run
from schemas.spec.audit import AuditSpec


def assess_samples(
    spec: AuditSpec, known: KnownPeople, store: RunStore, executor: Executor, watch: Watch
) -> Assessment:
    """Raises as `assess`."""
    with watch("reducing", "samples") as observer:
        return assess(spec, known, Passes(spec, store, executor, observer))


def assess_placebo(
    spec: AuditSpec, known: KnownPeople, executor: Executor, watch: Watch
) -> PlaceboOutcome | None:
    """What the headline's score says of the placebo's samples; None without one. It is of a generator that
    nobody of the gallery trained, so it must find nobody. Raises as `assess`."""
    placebo = placebo_spec(spec)
    if placebo is None:
        return None
    store = open_run(placebo)
    with watch("reducing the placebo", "samples") as observer:
        assessment = assess(placebo, known, Passes(placebo, store, executor, observer), VERDICTS_AND_SET)
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
