"""Reduce the committed samples of a run against its gallery."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from distributed.cluster import Cluster
from distributed.enrolled import EnrolledGallery
from distributed.pool import run_tasks
from distributed.reduce.neighbours import Partial, merge
from distributed.reduce_maker import ReduceJob, ShardGroup, decode_partials, empty_partial, group_shards
from distributed.shard_run import require_none_lost
from distributed.store import RunStore
from distributed.workers import ReduceWorker, spawn
from schemas.layout import PARTIALS_PREFIX
from schemas.shard import Shard, ShardReport
from schemas.spec import AuditSpec

GROUPS_PER_WORKER = 4
"""More groups even out the load; fewer write less."""

LEAST_SAMPLES_OF_A_GROUP = 16_384
"""Fewer are searched sooner than another actor has started."""


def reduce_shards(
    spec: AuditSpec,
    shards: Sequence[Shard],
    gallery: EnrolledGallery,
    thresholds: Mapping[str, float],
    store: RunStore,
    cluster: Cluster,
    on_report: Callable[[ShardReport], None],
) -> dict[str, Partial]:
    """Recogniser -> what the samples of all shards show. The same bytes for any number of workers.

    Raises DamagedError for a shard that fails its checksums, ShardsLostError if a group cannot be reduced.
    """
    capacity = cluster.capacity(spec.resources)
    job = ReduceJob(spec, dict(thresholds), capacity.device, capacity.threads)
    enough = -(-spec.samples // LEAST_SAMPLES_OF_A_GROUP)
    groups = group_shards(shards, min(enough, GROUPS_PER_WORKER * capacity.workers))
    actor = partial(spawn, ReduceWorker, job)
    lost = run_tasks(groups, actor, workers=capacity.workers, on_report=on_report)
    require_none_lost(lost, PARTIALS_PREFIX, len(groups))
    return _merge_groups(groups, gallery, spec, store)


def _merge_groups(
    groups: Sequence[ShardGroup], gallery: EnrolledGallery, spec: AuditSpec, store: RunStore
) -> dict[str, Partial]:
    """Merge the groups' files one by one, then delete them."""
    merged = {name: empty_partial(gallery, spec.membership.topk) for name in gallery.templates}
    for group in groups:
        found = decode_partials(store.read(group.file_name), list(merged))
        merged = {name: merge(partial, found[name]) for name, partial in merged.items()}
    for path in store.sizes(PARTIALS_PREFIX):
        store.delete(path)
    return merged
