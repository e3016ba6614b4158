"""What `sample` and `enroll` have left in a run."""

from __future__ import annotations

from distributed.gallery.names import read_names
from distributed.gallery.source import gallery_source
from distributed.stages.enrolling.enrolment import Enrolment, enrolment_of
from distributed.stages.fingerprints import sampling_fingerprint
from distributed.stages.invalid_samples import require_valid_samples
from distributed.stages.placebo import require_placebo_samples
from distributed.stages.shards import ShardsMade
from distributed.storage.shard_index import ShardRun, committed_outcomes
from distributed.storage.store import RunStore
from distributed.storage.vault import Vault
from schemas.errors import SpecError
from schemas.fingerprint import Fingerprint
from schemas.run.artefacts import GALLERY_FILE
from schemas.run.shard import count_outcomes
from schemas.spec.audit import AuditSpec


def committed(spec: AuditSpec, store: RunStore) -> tuple[ShardsMade, Enrolment]:
    """What `sample` and `enroll` have left. Raises SpecError if one of them has not been run to its end."""
    run = ShardRun.of_samples(spec, sampling_fingerprint(spec))
    outcomes, shards = committed_outcomes(run, store), run.shards
    if len(outcomes) < len(shards):
        raise SpecError(
            f"{len(shards) - len(outcomes)} of {len(shards)} shards are missing: run `idleak sample` first"
        )
    if GALLERY_FILE not in store.sizes():
        raise SpecError(f"{store.location} has no {GALLERY_FILE}: run `idleak enroll` first")
    source = gallery_source(spec, store)
    source.fingerprint.require(Fingerprint(store.read_footer(GALLERY_FILE).fingerprint), GALLERY_FILE)
    require_placebo_samples(spec)
    made = ShardsMade(count_outcomes(list(outcomes.values())), len(shards), 0, {})
    require_valid_samples(made.outcomes, spec)
    names = read_names(store, Vault(spec.protection))
    return made, enrolment_of(spec, source, store.read_table(GALLERY_FILE), names)
