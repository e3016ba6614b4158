"""Embed the photos of a gallery, shard by shard as samples are, into rows of `gallery.parquet`."""

from __future__ import annotations

import pyarrow as pa

from distributed.execution.executor import Executor, Watch
from distributed.gallery.enrolled import with_face_sizes
from distributed.gallery.source import GallerySource
from distributed.sampling.images.packed_places import PackedPlaces
from distributed.stages.shards import make_missing
from distributed.storage.shard_index import ShardRun
from distributed.storage.store import RunStore
from schemas.run.shard import Shard
from schemas.run.tables import gallery_schema
from schemas.spec.audit import AuditSpec


def embed_photos(
    spec: AuditSpec, source: GallerySource, store: RunStore, executor: Executor, watch: Watch
) -> pa.Table:
    """The rows of all photos of the source. Raises as `make_missing`."""
    places = PackedPlaces(photo.place for photo in source.photos)
    run = ShardRun.of_photos(spec, source.fingerprint, places)
    with watch("enrolling") as observer:
        make_missing(run, store, executor, observer)
    tables = [_with_people(store.read_table(run.path(shard)), source, shard) for shard in run.shards]
    return pa.concat_tables(tables)


def _with_people(embedded: pa.Table, source: GallerySource, shard: Shard) -> pa.Table:
    """The rows of a shard of photos, with who is on them."""
    part = source.photos[shard.first_id : shard.stop_id]
    people = {
        "identity": [photo.identity for photo in part],
        "photo": [photo.name for photo in part],
        "role": [str(photo.role) for photo in part],
    }
    embedded = with_face_sizes(embedded)
    columns = {name: embedded[name] for name in embedded.column_names if name not in ("sample_id", "faces")}
    return pa.table(people | columns).cast(_schema(embedded))


def _schema(table: pa.Table) -> pa.Schema:
    dimensions = {
        field.name.removeprefix("template_"): field.type.list_size
        for field in table.schema
        if field.name.startswith("template_")
    }
    return gallery_schema(dimensions)
