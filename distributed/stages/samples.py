"""The samples that a spec plans, and whether they are there."""

from __future__ import annotations

from distributed.stages.fingerprints import sampling_fingerprint
from distributed.storage.shard_index import ShardRun, indexed_outcomes
from distributed.storage.store import RunStore
from schemas.spec.audit import AuditSpec


def samples_run(spec: AuditSpec) -> ShardRun:
    """Raises ModelError or SpecError for missing files."""
    return ShardRun.of_samples(spec, sampling_fingerprint(spec))


def is_sampled(spec: AuditSpec, store: RunStore) -> bool:
    """Whether all samples are there, as they were when `sample` ended."""
    return indexed_outcomes(samples_run(spec), store) is not None
