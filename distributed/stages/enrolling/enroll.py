"""Embed the gallery's photos into `gallery.parquet`; every refused photo is listed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa

from distributed.execution.executor import Executor, Watch
from distributed.gallery.enrolled import (
    commit_gallery,
    require_both_sides,
    without_people,
)
from distributed.gallery.names import all_names, read_names, write_names
from distributed.gallery.overlap import require_each_once
from distributed.gallery.refusals import refusal_reasons
from distributed.gallery.source import gallery_source
from distributed.gallery.tables import require_usable_tables
from distributed.gallery.without_photos import galleries_without_photos
from distributed.stages.enrolling.enrolment import Enrolment, enrolment_of
from distributed.stages.enrolling.gallery_check import require_usable_gallery
from distributed.stages.enrolling.photo_shards import embed_photos
from distributed.stages.given_templates import require_templates_dimension
from distributed.storage.store import RunStore
from distributed.storage.trail import digests, record
from distributed.storage.vault import Vault
from schemas.errors import RecognizerError
from schemas.fingerprint import Fingerprint
from schemas.run.artefacts import ENROLLING_PREFIX, GALLERY_FILE, NAMES_FILE
from schemas.spec.audit import AuditSpec


def enroll(spec: AuditSpec, store: RunStore, executor: Executor, watch: Watch) -> Enrolment:
    """Make `gallery.parquet` unless it is there. Raises SpecError or a subclass for photos, models or earlier
    galleries that cannot be used and for a photo under two people, RecognizerError if people cannot be told
    apart, WrongRunError if the output holds another gallery, ShardsLostError."""
    source = gallery_source(spec, store)
    fingerprint = source.fingerprint
    if GALLERY_FILE in store.sizes():
        fields = store.read_footer(GALLERY_FILE).fingerprint
        fingerprint.require(Fingerprint(fields), GALLERY_FILE)
        table = store.read_table(GALLERY_FILE)
        enrolment = enrolment_of(spec, source, table, read_names(store, Vault(spec.protection)))
        require_usable_gallery(spec, enrolment.compared, source.photos, executor)
        return enrolment
    # Sealed first, so that those whom a refusal is about can be revealed.
    names = all_names(spec, source)
    write_names(store, Vault(spec.protection), names)
    require_each_once(spec, source)
    require_usable_tables(spec, source.photos)
    require_templates_dimension(spec, executor)
    parts = [without_people(table, source.erased) for table in galleries_without_photos(spec)]
    if source.photos:
        parts.append(embed_photos(spec, source, store, executor, watch))
    table = pa.concat_tables(parts).sort_by([(name, "ascending") for name in ("role", "identity", "photo")])
    require_both_sides(table, refusal_reasons(spec, source.photos, table))
    enrolment = enrolment_of(spec, source, table, names)
    with _dropped_if_refused(store):
        # Without those who are there twice: they would look like people who cannot be told apart.
        require_usable_gallery(spec, enrolment.compared, source.photos, executor)
    commit_gallery(table, fingerprint, store)
    record(store, "enrolled", wrote=digests(store, GALLERY_FILE, NAMES_FILE))
    return enrolment


@contextmanager
def _dropped_if_refused(store: RunStore) -> Iterator[None]:
    """Delete begun shards that no audit can use, which would be in the way of the corrected spec's."""
    try:
        yield
    except RecognizerError:
        store.delete_all(ENROLLING_PREFIX)
        raise
