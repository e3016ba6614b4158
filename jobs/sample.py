"""`idleak sample SPEC`: draw the samples and embed their faces into `samples/shard-*.parquet`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from distributed.cluster import Cluster
from distributed.fingerprints import sampling_fingerprint
from distributed.lock import run_lock
from distributed.run_record import record_run
from distributed.sampling.image_files import list_images
from distributed.shard_index import ShardRun
from distributed.shard_run import ShardsMade
from distributed.store import RunStore
from jobs.command import spec_command
from jobs.exit_codes import ExitCode
from jobs.progress import make_with_progress
from schemas.errors import InvalidSamplesError, SpecError
from schemas.layout import SAMPLES_PREFIX
from schemas.shard import ShardReport, plan_shards
from schemas.spec import AuditSpec, ImagesGenerator
from schemas.tables import Outcome

MAX_INVALID_SHARE = 0.01
"""A run fails once more than this share of its samples are no images."""


def main(argv: Sequence[str]) -> int:
    return spec_command("sample", __doc__, argv, _run)


def _run(spec: AuditSpec) -> ExitCode:
    store = RunStore(spec.output)
    with run_lock(store), Cluster() as cluster:
        made = sample(spec, store, cluster)
    counts = ", ".join(f"{count:,} {name}" for name, count in made.outcomes.items())
    print(f"{made.shards:,} shards, {made.made_now:,} of them made now, in {spec.output}: {counts}")
    return ExitCode.OK


def sample(spec: AuditSpec, store: RunStore, cluster: Cluster) -> ShardsMade:
    """Make the missing shards of the samples.

    Raises SpecError or a subclass for what the spec names and cannot be used, WrongRunError if the output
    belongs to another spec, ShardsLostError, and InvalidSamplesError past MAX_INVALID_SHARE.
    """
    _require_enough_images(spec)
    fingerprint = sampling_fingerprint(spec)
    record_run(store, spec, fingerprint)
    shards = plan_shards(spec.samples, spec.shard_size)
    limit = _InvalidLimit(spec.samples)
    made = make_with_progress(
        "sampling", ShardRun(spec, fingerprint, SAMPLES_PREFIX, shards), store, cluster, limit.add
    )
    require_few_invalid(made.outcomes.get(Outcome.INVALID_IMAGE, 0), spec.samples)
    return made


def _require_enough_images(spec: AuditSpec) -> None:
    if isinstance(spec.generator, ImagesGenerator):
        there = len(list_images(Path(spec.generator.path)))
        if there < spec.samples:
            raise SpecError(f"{spec.generator.path} holds {there} images: lower samples from {spec.samples}")


class _InvalidLimit:
    """Counts samples that are no images, to stop a hopeless run early."""

    def __init__(self, samples: int) -> None:
        self._samples = samples
        self._invalid = 0

    def add(self, report: ShardReport) -> None:
        self._invalid += report.outcomes.get(Outcome.INVALID_IMAGE, 0)
        require_few_invalid(self._invalid, self._samples, report.invalid_example)


def require_few_invalid(invalid: int, samples: int, example: str | None = None) -> None:
    """Raise InvalidSamplesError if more than MAX_INVALID_SHARE of the samples are no images."""
    if invalid > MAX_INVALID_SHARE * samples:
        raise InvalidSamplesError(
            f"{invalid} of {samples} samples are no images ({example or 'see their outcome'}), more than "
            f"{MAX_INVALID_SHARE:.0%}: mend the generator, or its `output` in the spec"
        )
