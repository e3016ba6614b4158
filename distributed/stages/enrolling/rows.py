"""The rows of a new `gallery.parquet`: of photos, of templates, and of earlier galleries."""

from __future__ import annotations

import pyarrow as pa

from distributed.execution.executor import Executor, Watch
from distributed.gallery.enrolled import require_both_sides, without_people
from distributed.gallery.refusals import refusal_reasons
from distributed.gallery.source import GallerySource
from distributed.gallery.without_photos import galleries_without_photos
from distributed.stages.enrolling.photo_shards import embed_photos
from distributed.storage.store import RunStore
from schemas.spec.audit import AuditSpec


def gallery_rows(
    spec: AuditSpec, source: GallerySource, store: RunStore, executor: Executor, watch: Watch
) -> pa.Table:
    """By role, identity and photo. Raises SpecError for earlier galleries that cannot be used and unless
    somebody can be scored, and as `embed_photos`."""
    parts = [without_people(table, source.erased) for table in galleries_without_photos(spec)]
    if source.photos:
        parts.append(embed_photos(spec, source, store, executor, watch))
    table = pa.concat_tables(parts).sort_by([(name, "ascending") for name in ("role", "identity", "photo")])
    require_both_sides(table, refusal_reasons(spec, source.photos, table))
    return table
