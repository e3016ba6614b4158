"""Samples and people that are given as templates: whether these fit the recogniser."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from distributed.embedding.fingerprint import recognizer_fields
from distributed.embedding.usual_inputs import open_under
from distributed.embedding.zoo import resolve_model
from distributed.execution.executor import Executor
from distributed.gallery.template_sides import template_sides
from distributed.sampling.templates.template_rows import Templates
from schemas.errors import SpecError
from schemas.spec.audit import AuditSpec
from schemas.spec.generators.templates import TemplatesGenerator

SAMPLES = "the samples"


def require_same_recognizer(spec: AuditSpec) -> None:
    """Raise SpecError if the samples are templates of a model that is stated, and not the audit's."""
    generator, name = spec.generator, spec.faces.recognizers[0].name
    if not isinstance(generator, TemplatesGenerator) or generator.recognizer is None:
        return
    digest = recognizer_fields(spec.faces)[f"faces.recognizers.{name}.sha256"]
    if generator.recognizer != f"sha256:{digest}":
        raise SpecError(
            f"generator.recognizer is {generator.recognizer}, and recogniser {name} is sha256:{digest}: "
            "give the model that made the templates"
        )


def require_templates_dimension(spec: AuditSpec, executor: Executor) -> None:
    """Raise SpecError for templates of samples or people of another length than the recogniser's."""
    lengths = dict(_lengths(spec))
    if not lengths:
        return
    capacity = executor.capacity(spec.resources)
    _require(spec, lengths, executor.call(capacity, recognizer_dimension, spec, capacity.device))


def _require(spec: AuditSpec, lengths: Mapping[str, int], dimension: int) -> None:
    """lengths: whose templates -> numbers in each."""
    name = spec.faces.recognizers[0].name
    for whose, length in lengths.items():
        if length != dimension:
            raise SpecError(
                f"templates of {whose} have {length} numbers, and recogniser {name} makes {dimension}: give "
                f"its own templates, or {'images' if whose == SAMPLES else 'photos'}"
            )


def _lengths(spec: AuditSpec) -> Iterator[tuple[str, int]]:
    if isinstance(spec.generator, TemplatesGenerator):
        yield SAMPLES, Templates(spec.generator).dimension
    for role, listed in template_sides(spec.gallery):
        yield f"the gallery's {role} side", listed.templates.shape[1]


def recognizer_dimension(spec: AuditSpec, device: str) -> int:
    """Of the first recogniser's templates."""
    (recognizer, *_) = spec.faces.recognizers
    path = resolve_model(recognizer.path, task="recognition")
    return open_under(recognizer.input, path, device=device, threads=1).dim
