"""What a finished audit has left that people can be planted in: its samples and its gallery."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from distributed.gallery.enrolled import EnrolledGallery, accepted, enrolled_gallery
from distributed.gallery.labels import labels_of
from distributed.stages.judging.committed import committed
from distributed.stages.passes import Passes
from distributed.statistics.similarity import Floats, Singles
from distributed.storage.store import open_run
from schemas.run.tables import Role
from schemas.spec.audit import AuditSpec


@dataclass(frozen=True)
class FinishedAudit:
    """By its first recogniser. table: the accepted photos that samples are compared with."""

    spec: AuditSpec
    table: pa.Table
    gallery: EnrolledGallery
    twins: Sequence[tuple[str, str]]
    passes: Passes

    @property
    def recognizer(self) -> str:
        return self.spec.faces.recognizers[0].name

    @property
    def centre(self) -> Floats:
        return self.passes.centres()[self.recognizer]

    def samples(self) -> Singles:
        """The templates of all samples that have one."""
        gathered = self.passes.gather({self.recognizer: np.arange(self.spec.samples)})
        return gathered[self.recognizer].templates

    def of_non_members(self) -> FinishedAudit:
        """Without candidates who are not labelled as such, if there are labels."""
        labels = labels_of(self.spec)
        if labels is None:
            return self
        known = pa.array([name for name, member in labels.items() if not member], pa.string())
        in_cohort = pc.equal(self.table["role"], Role.COHORT)
        table = self.table.filter(pc.or_(in_cohort, pc.is_in(self.table["identity"], known)))
        return replace(self, table=table, gallery=enrolled_gallery(table, [self.recognizer]))


def finished_audit(spec: AuditSpec) -> FinishedAudit:
    """Raises SpecError unless the audit has its samples and its gallery."""
    first = spec.faces.recognizers[:1]
    store = open_run(spec)
    enrolment = committed(spec, store).enrolment
    table = accepted(enrolment.compared)
    narrowed = spec.model_copy(
        update={
            "faces": spec.faces.model_copy(update={"recognizers": first}),
            "membership": spec.membership.model_copy(
                update={"scores": ("margin",), "strata": (), "adjust": ()}
            ),
        }
    )
    twins = [pair.people for pair in enrolment.overlap.matches.found]
    passes = Passes.here(narrowed, store)
    return FinishedAudit(narrowed, table, enrolled_gallery(table, [first[0].name]), twins, passes)
