"""How many of the samples may be no images, before a run is stopped as hopeless."""

from __future__ import annotations

from collections.abc import Mapping

from distributed.execution.executor import Observer
from schemas.errors import InvalidSamplesError
from schemas.run.shard import ShardReport
from schemas.run.tables import invalid_count
from schemas.spec.audit import AuditSpec


class InvalidLimit:
    """An observer that counts samples that are not images, to stop a hopeless run early."""

    def __init__(self, spec: AuditSpec, observer: Observer) -> None:
        self.begin, self.event = observer.begin, observer.event
        self._spec, self._observer = spec, observer
        self._invalid = 0

    def report(self, report: ShardReport) -> None:
        self._observer.report(report)
        self._invalid += invalid_count(report.outcomes)
        require_few_invalid(self._invalid, self._spec, report.invalid_example)


def require_few_invalid(invalid: int, spec: AuditSpec, example: str | None = None) -> None:
    """Raise InvalidSamplesError if more than `limits.invalid_samples` of the samples are not images."""
    limit = spec.limits.invalid_samples
    if invalid > limit * spec.samples:
        what, advice = invalid_wording(spec)
        raise InvalidSamplesError(
            f"{invalid} of {spec.samples} samples are no {what} ({example or 'see their outcome'}), more "
            f"than limits.invalid_samples, {limit:.2%}: {advice}"
        )


def invalid_wording(spec: AuditSpec) -> tuple[str, str]:
    """What invalid samples are none of, and what helps."""
    if spec.generator.has_images:
        return "images", "fix the generator, or its `output` in the spec"
    return "templates", "leave these rows out of generator.path"


def require_valid_samples(outcomes: Mapping[str, int], spec: AuditSpec) -> None:
    """The same by the counts of all outcomes."""
    require_few_invalid(invalid_count(outcomes), spec)
