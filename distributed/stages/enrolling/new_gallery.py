"""A gallery that is not in its run yet: checked, embedded and committed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from distributed.execution.executor import Executor, Watch
from distributed.gallery.enrolled import commit_gallery
from distributed.gallery.names import seal_names
from distributed.gallery.source import GallerySource
from distributed.gallery.usable import require_usable_people
from distributed.stages.enrolling.enrolment import Enrolment, enrolment_of
from distributed.stages.enrolling.gallery_check import require_usable_gallery
from distributed.stages.enrolling.rows import gallery_rows
from distributed.stages.given_templates import require_templates_dimension
from distributed.storage.store import RunStore
from distributed.storage.trail import digests, record
from schemas.errors import RecognizerError
from schemas.run.artefacts import ENROLLING_PREFIX, GALLERY_FILE, NAMES_FILE
from schemas.spec.audit import AuditSpec


def enroll_anew(
    spec: AuditSpec, source: GallerySource, store: RunStore, executor: Executor, watch: Watch
) -> Enrolment:
    """Make and commit `gallery.parquet`. Raises as `enroll`."""
    # Sealed first, so that those whom a refusal is about can be revealed.
    names = seal_names(spec, source, store)
    require_usable_people(spec, source)
    require_templates_dimension(spec, executor)
    table = gallery_rows(spec, source, store, executor, watch)
    enrolment = enrolment_of(spec, source, table, names)
    with _dropped_if_refused(store):
        # Without those who are there twice: they would look like people who cannot be told apart.
        require_usable_gallery(spec, enrolment.compared, source.photos, executor)
    commit_gallery(table, source.fingerprint, store)
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
