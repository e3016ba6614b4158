"""Begin a run, or go on with it: its record, with what is to be said of its generator and models."""

from __future__ import annotations

import logging

from distributed.stages.preconditions import notices_of
from distributed.stages.samples import samples_run
from distributed.storage.run_record import record_run
from distributed.storage.shard_index import ShardRun
from distributed.storage.store import RunStore
from schemas.spec.audit import AuditSpec

log = logging.getLogger(__name__)


def begin_run(spec: AuditSpec, store: RunStore) -> ShardRun:
    """The samples to be made. Raises WrongRunError if the output belongs to another spec."""
    run = samples_run(spec)
    notices, inferred = notices_of(spec)
    for notice in notices:
        log.warning("generator: %s", notice)
    record_run(store, spec, run.fingerprint, notices, inferred)
    return run
