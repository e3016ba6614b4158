"""Draw the samples and embed their faces into `samples/shard-*.parquet`."""

from __future__ import annotations

import logging

from distributed.embedding.inferred import faces_notices
from distributed.execution.executor import Executor, Observer, Watch
from distributed.sampling.adapters import generator_notices, image_count
from distributed.sampling.sandbox.trust import require_trust
from distributed.stages.fingerprints import sampling_fingerprint
from distributed.stages.given_templates import require_same_recognizer, require_templates_dimension
from distributed.stages.planning.shard_size import settle_shards
from distributed.stages.shards import ShardsMade, make_missing
from distributed.storage.run_record import record_run
from distributed.storage.shard_index import ShardRun
from distributed.storage.store import RunStore
from schemas.errors import InvalidSamplesError, SpecError
from schemas.run.artefacts import SAMPLES_PREFIX
from schemas.run.shard import ShardReport, plan_shards
from schemas.run.tables import invalid_count
from schemas.spec.audit import AuditSpec

log = logging.getLogger(__name__)


def sample(
    spec: AuditSpec, store: RunStore, executor: Executor, watch: Watch, title: str = "sampling"
) -> ShardsMade:
    """Make the missing shards of the samples. title: of the progress.

    Raises SpecError or a subclass for what the spec names and cannot be used, WrongRunError if the output
    belongs to another spec, ShardsLostError, and InvalidSamplesError past `limits.invalid_samples`.
    """
    require_usable_generator(spec)
    if not spec.generator.has_images:
        require_templates_dimension(spec, executor)
    spec = settle_shards(spec, store, executor)
    fingerprint = sampling_fingerprint(spec)
    notices = generator_notices(spec.generator)
    for notice in notices:
        log.warning("generator: %s", notice)
    record_run(store, spec, fingerprint, notices, faces_notices(spec.faces))
    shards = plan_shards(spec.samples, spec.samples_per_shard)
    with watch(title) as observer:
        limit = _InvalidLimit(spec, observer)
        made = make_missing(ShardRun(spec, fingerprint, SAMPLES_PREFIX, shards), store, executor, limit)
    require_few_invalid(invalid_count(made.outcomes), spec)
    return made


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


class _InvalidLimit:
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
