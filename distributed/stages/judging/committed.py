"""What `sample` and `enroll` have left in a run."""

from __future__ import annotations

from distributed.stages.enrolling.committed_gallery import require_enrolment
from distributed.stages.enrolling.enrolment import Enrolment
from distributed.stages.invalid_samples import require_valid_samples
from distributed.stages.reference import placebo_spec
from distributed.stages.samples import samples_run
from distributed.stages.shards import ShardsMade, require_made
from distributed.storage.store import RunStore, open_run
from schemas.spec.audit import AuditSpec


def committed(spec: AuditSpec, store: RunStore) -> tuple[ShardsMade, Enrolment]:
    """What `sample` and `enroll` have left. Raises SpecError if one of them has not been run to its end."""
    made, enrolment = require_made(samples_run(spec), store), require_enrolment(spec, store)
    placebo = placebo_spec(spec)
    if placebo is not None:
        require_made(samples_run(placebo), open_run(placebo), "shards of the placebo")
    require_valid_samples(made.outcomes, spec)
    return made, enrolment
