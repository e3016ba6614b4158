"""`idleak sample SPEC`: draw the samples and embed their faces into `samples/shard-*.parquet`."""

from __future__ import annotations

from collections.abc import Sequence

from distributed.execution.cluster import Cluster
from distributed.sampling.adapters import image_count
from distributed.sampling.sandbox.trust import require_trust
from distributed.stages.fingerprints import sampling_fingerprint
from distributed.stages.shards import ShardsMade
from distributed.storage.run_record import record_run
from distributed.storage.shard_index import ShardRun
from distributed.storage.store import RunStore
from jobs.cli.command import act_command
from jobs.cli.exit_codes import ExitCode
from jobs.cli.progress import make_with_progress
from jobs.cli.say import say
from schemas.errors import InvalidSamplesError, SpecError
from schemas.run.artefacts import SAMPLES_PREFIX
from schemas.run.shard import ShardReport, plan_shards
from schemas.run.tables import invalid_count
from schemas.spec.audit import AuditSpec


def main(argv: Sequence[str]) -> int:
    return act_command("sample", __doc__, argv, _run)


def _run(spec: AuditSpec, store: RunStore) -> ExitCode:
    with Cluster() as cluster:
        made = sample(spec, store, cluster)
    counts = ", ".join(f"{count:,} {name}" for name, count in made.outcomes.items())
    say(f"{made.shards:,} shards, {made.made_now:,} of them made now, in {spec.output}: {counts}")
    return ExitCode.OK


def sample(spec: AuditSpec, store: RunStore, cluster: Cluster) -> ShardsMade:
    """Make the missing shards of the samples.

    Raises SpecError or a subclass for what the spec names and cannot be used, WrongRunError if the output
    belongs to another spec, ShardsLostError, and InvalidSamplesError past `limits.invalid_samples`.
    """
    require_usable_generator(spec)
    fingerprint = sampling_fingerprint(spec)
    record_run(store, spec, fingerprint)
    shards = plan_shards(spec.samples, spec.shard_size)
    limit = _InvalidLimit(spec)
    made = make_with_progress(
        "sampling", ShardRun(spec, fingerprint, SAMPLES_PREFIX, shards), store, cluster, limit.add
    )
    require_few_invalid(invalid_count(made.outcomes), spec)
    return made


def require_usable_generator(spec: AuditSpec) -> None:
    """Raise TrustError for code that the spec does not name, SpecError if the generator has an end, and more
    samples are asked for."""
    if spec.generator.is_code:
        require_trust(spec.generator)
    there = image_count(spec.generator)
    if there is not None and there < spec.samples:
        raise SpecError(f"the generator has {there} images: lower samples from {spec.samples}")


class _InvalidLimit:
    """Counts samples that are no images, to stop a hopeless run early."""

    def __init__(self, spec: AuditSpec) -> None:
        self._spec = spec
        self._invalid = 0

    def add(self, report: ShardReport) -> None:
        self._invalid += invalid_count(report.outcomes)
        require_few_invalid(self._invalid, self._spec, report.invalid_example)


def require_few_invalid(invalid: int, spec: AuditSpec, example: str | None = None) -> None:
    """Raise InvalidSamplesError if more than `limits.invalid_samples` of the samples are no images."""
    limit = spec.limits.invalid_samples
    if invalid > limit * spec.samples:
        raise InvalidSamplesError(
            f"{invalid} of {spec.samples} samples are no images ({example or 'see their outcome'}), more "
            f"than limits.invalid_samples, {limit:.2%}: mend the generator, or its `output` in the spec"
        )
