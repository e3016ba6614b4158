"""The enrolled gallery, with all that is said of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from distributed.gallery.enrolled import without_people
from distributed.gallery.overlap import gallery_overlap, require_each_once
from distributed.gallery.people.listing import Notice
from distributed.gallery.refusals import PhotoKey, refusal_reasons
from distributed.gallery.source import GallerySource
from schemas.fingerprint import Fingerprint
from schemas.run.names import NameMap
from schemas.run.overlap import OverlapResult
from schemas.spec.audit import AuditSpec


@dataclass(frozen=True)
class Enrolment:
    """The enrolled gallery, the fingerprint it was made under, who may be in it twice, what its sources
    inferred and left out, and why photos are no images."""

    table: pa.Table
    fingerprint: Fingerprint
    overlap: OverlapResult
    notices: Sequence[Notice] = ()
    reasons: Mapping[PhotoKey, str] = field(default_factory=dict)

    @property
    def compared(self) -> pa.Table:
        """The gallery without those of the cohort who are left out: what samples are compared with."""
        return without_people(self.table, self.overlap.left_out)


def enrolment_of(spec: AuditSpec, source: GallerySource, table: pa.Table, names: NameMap) -> Enrolment:
    """table: of `gallery.parquet`; names: of its people. Raises SpecError if two people have one photo, or if
    too few of the cohort are left."""
    require_each_once(spec, source, table)
    overlap = gallery_overlap(spec, source, table, names.identities)
    reasons = refusal_reasons(spec, source.photos, table)
    return Enrolment(table, source.fingerprint, overlap, source.notices, reasons)
