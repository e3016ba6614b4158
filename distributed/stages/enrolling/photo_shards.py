"""Embed the photos of a gallery, shard by shard as samples are, into rows of `gallery.parquet`."""

from __future__ import annotations

import pyarrow as pa

from distributed.execution.executor import Executor, Watch
from distributed.gallery.enrolled import photo_rows
from distributed.gallery.source import GallerySource
from distributed.stages.shards import make_missing
from distributed.storage.shard_index import ShardRun
from distributed.storage.store import RunStore
from schemas.spec.audit import AuditSpec


def embed_photos(
    spec: AuditSpec, source: GallerySource, store: RunStore, executor: Executor, watch: Watch
) -> pa.Table:
    """The rows of all photos of the source. Raises as `make_missing`."""
    run = ShardRun.of_photos(spec, source.fingerprint, source.photos.places)
    with watch("enrolling") as observer:
        make_missing(run, store, executor, observer)
    photos = ((shard, source.photos[shard.first_id : shard.stop_id]) for shard in run.shards)
    return pa.concat_tables([photo_rows(store.read_table(run.path(shard)), part) for shard, part in photos])
