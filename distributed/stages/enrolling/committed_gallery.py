"""The gallery that an earlier `enroll` has left in a run."""

from __future__ import annotations

from distributed.gallery.names import read_names
from distributed.gallery.source import GallerySource, gallery_source
from distributed.stages.enrolling.enrolment import Enrolment, enrolment_of
from distributed.storage.store import RunStore
from distributed.storage.vault import Vault
from schemas.errors import SpecError
from schemas.fingerprint import Fingerprint
from schemas.run.artefacts import GALLERY_FILE
from schemas.spec.audit import AuditSpec


def require_enrolment(spec: AuditSpec, store: RunStore) -> tuple[GallerySource, Enrolment]:
    """What the gallery was made from, and the gallery.

    Raises SpecError if `enroll` has not been run to its end, and as `read_enrolment`.
    """
    if GALLERY_FILE not in store.sizes():
        raise SpecError(f"{store.location} has no {GALLERY_FILE}: run `idleak enroll` first")
    source = gallery_source(spec, store)
    return source, read_enrolment(spec, source, store)


def read_enrolment(spec: AuditSpec, source: GallerySource, store: RunStore) -> Enrolment:
    """Of the `gallery.parquet` that is there. Raises WrongRunError if it was made from something else."""
    source.fingerprint.require(Fingerprint(store.read_footer(GALLERY_FILE).fingerprint), GALLERY_FILE)
    names = read_names(store, Vault(spec.protection))
    return enrolment_of(spec, source, store.read_table(GALLERY_FILE), names)
