"""Embed the gallery's photos into `gallery.parquet`; every refused photo is listed."""

from __future__ import annotations

from distributed.execution.executor import Executor, Watch
from distributed.gallery.source import gallery_source
from distributed.stages.enrolling.committed_gallery import read_enrolment
from distributed.stages.enrolling.enrolment import Enrolment
from distributed.stages.enrolling.gallery_check import require_usable_gallery
from distributed.stages.enrolling.new_gallery import enroll_anew
from distributed.storage.store import RunStore
from schemas.run.artefacts import GALLERY_FILE
from schemas.spec.audit import AuditSpec


def enroll(spec: AuditSpec, store: RunStore, executor: Executor, watch: Watch) -> Enrolment:
    """Make `gallery.parquet` unless it is there. Raises SpecError or a subclass for photos, models or earlier
    galleries that cannot be used and for a photo under two people, RecognizerError if people cannot be told
    apart, WrongRunError if the output holds another gallery, ShardsLostError."""
    source = gallery_source(spec, store)
    if GALLERY_FILE not in store.sizes():
        return enroll_anew(spec, source, store, executor, watch)
    enrolment = read_enrolment(spec, source, store)
    require_usable_gallery(spec, enrolment.compared, source.photos, executor)
    return enrolment
