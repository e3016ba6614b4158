"""Draw the samples and embed their faces into `samples/shard-*.parquet`."""

from __future__ import annotations

from distributed.execution.executor import Executor, Watch
from distributed.stages.begin import begin_run
from distributed.stages.given_templates import require_templates_dimension
from distributed.stages.invalid_samples import InvalidLimit, require_valid_samples
from distributed.stages.planning.shard_size import settle_shards
from distributed.stages.preconditions import require_usable_generator
from distributed.stages.shards import ShardsMade, make_missing
from distributed.storage.store import RunStore
from schemas.spec.audit import AuditSpec


def sample(
    spec: AuditSpec, store: RunStore, executor: Executor, watch: Watch, title: str = "sampling"
) -> ShardsMade:
    """Make the missing shards of the samples. title: of the progress.

    Raises SpecError or a subclass for what the spec names and cannot be used, WrongRunError if the output
    belongs to another spec, ShardsLostError, and InvalidSamplesError past `limits.invalid_samples`.
    """
    require_usable_generator(spec)
    if not spec.generator.has_images:
        require_templates_dimension(spec, executor)
    spec = settle_shards(spec, store, executor)
    run = begin_run(spec, store)
    with watch(title) as observer:
        limit = InvalidLimit(spec, observer)
        made = make_missing(run, store, executor, limit)
    require_valid_samples(made.outcomes, spec)
    return made
