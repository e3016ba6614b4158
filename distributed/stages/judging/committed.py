"""What `sample` and `enroll` have left in a run."""

from __future__ import annotations

from dataclasses import dataclass

from distributed.gallery.source import GallerySource
from distributed.stages.enrolling.committed_gallery import require_enrolment
from distributed.stages.enrolling.enrolment import Enrolment
from distributed.stages.invalid_samples import require_valid_samples
from distributed.stages.reference import placebo_spec
from distributed.stages.samples import samples_run
from distributed.stages.shards import ShardsMade, require_made
from distributed.storage.store import RunStore, open_run
from schemas.spec.audit import AuditSpec


@dataclass(frozen=True)
class Committed:
    """Samples and gallery of a run, and what the gallery was made from."""

    made: ShardsMade
    source: GallerySource
    enrolment: Enrolment


def committed(spec: AuditSpec, store: RunStore) -> Committed:
    """Raises SpecError if `sample` or `enroll` has not been run to its end."""
    made = require_made(samples_run(spec), store)
    source, enrolment = require_enrolment(spec, store)
    placebo = placebo_spec(spec)
    if placebo is not None:
        require_made(samples_run(placebo), open_run(placebo), "shards of the placebo")
    require_valid_samples(made.outcomes, spec)
    return Committed(made, source, enrolment)
