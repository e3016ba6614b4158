"""What is checked of a spec before the long work, and what is to be said of its generator and models."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from distributed.embedding.inferred import faces_notices
from distributed.embedding.licences import licence_warnings
from distributed.sampling.adapters import generator_notices, image_count
from distributed.sampling.sandbox.trust import require_trust
from distributed.stages.given_templates import require_same_recognizer
from distributed.stages.reference import placebo_spec
from distributed.stages.results.ledger import require_same_ledger
from schemas.errors import SpecError
from schemas.spec.audit import AuditSpec

log = logging.getLogger(__name__)


def require_usable_generator(spec: AuditSpec) -> None:
    """Raise TrustError for code that the spec does not name, SpecError if the generator has an end, and more
    samples are asked for, or if it is templates of another recogniser."""
    if spec.generator.is_code:
        require_trust(spec.generator)
    require_same_recognizer(spec)
    there = image_count(spec.generator)
    if there is not None and there < spec.samples:
        what = "images" if spec.generator.has_images else "templates"
        raise SpecError(f"the generator has {there} {what}: lower samples from {spec.samples}")


def require_usable_generators(spec: AuditSpec) -> None:
    """The same of a placebo, too."""
    for of in filter(None, (spec, placebo_spec(spec))):
        require_usable_generator(of)


def require_usable(spec: AuditSpec) -> None:
    """Of generators; and raise WrongRunError if the spec's ledger was begun with other settings.
    Models whose licences may not allow the audit are logged."""
    require_usable_generators(spec)
    for warning in licence_warnings(spec.faces, spec.authorisation):
        log.warning("warning: %s", warning)
    require_same_ledger(spec)


def notices_of(spec: AuditSpec) -> tuple[Sequence[str], Sequence[str]]:
    """What of the generator is no sample, and what was inferred of the models of faces."""
    return generator_notices(spec.generator), faces_notices(spec.faces)
