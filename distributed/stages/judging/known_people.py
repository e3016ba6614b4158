"""Whom the samples of a run are compared with, and what its spec says of them."""

from __future__ import annotations

from distributed.gallery.attributes import read_attributes
from distributed.gallery.enrolled import enrolled_gallery
from distributed.membership.assess import KnownPeople
from distributed.stages.enrolling.enrolment import Enrolment
from distributed.stages.reference import read_reference
from schemas.spec.audit import AuditSpec


def known_people(spec: AuditSpec, enrolment: Enrolment) -> KnownPeople:
    """Raises SpecError for attributes or a reference run that cannot be used."""
    names = [recognizer.name for recognizer in spec.faces.recognizers]
    return KnownPeople(
        attributes=read_attributes(spec),
        gallery=enrolled_gallery(enrolment.compared, names),
        reference=None if spec.membership.reference is None else read_reference(spec),
        twins=[pair.people for pair in enrolment.overlap.matches.found],
    )
