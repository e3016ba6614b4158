"""`idleak reduce SPEC`: neighbours, scores and verdicts from the samples and the gallery that are there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from distributed.cluster import Cluster
from distributed.enrolled import enrolled_gallery
from distributed.fingerprints import (
    ALGORITHM_VERSION,
    digest_file,
    gallery_fingerprint,
    sampling_fingerprint,
)
from distributed.gallery import list_photos
from distributed.judgement import Reduction, judge, neighbours_table, operating_points, scores_table
from distributed.labels import require_usable_labels
from distributed.lock import run_lock
from distributed.reduce.scores import OPERATING_FMR
from distributed.reduce_run import reduce_shards
from distributed.shard_run import ShardRun, ShardsMade, committed_outcomes
from distributed.store import RunStore
from jobs.command import spec_command
from jobs.enroll import Enrolment
from jobs.exit_codes import ExitCode
from jobs.findings import print_findings
from jobs.progress import ProgressBar
from jobs.results import write_results
from jobs.sample import require_few_invalid
from schemas.errors import InvalidSamplesError, SpecError
from schemas.fingerprint import Fingerprint
from schemas.layout import GALLERY_FILE, NEIGHBOURS_FILE, SAMPLES_PREFIX, SCORES_FILE
from schemas.shard import Footer, count_outcomes, plan_shards
from schemas.spec import AuditSpec
from schemas.tables import Outcome


def main(argv: Sequence[str]) -> int:
    return spec_command("reduce", __doc__, argv, _run)


def _run(spec: AuditSpec) -> ExitCode:
    store = RunStore(spec.output)
    with run_lock(store), Cluster() as cluster:
        made, enrolment = _committed(spec, store)
        require_usable_labels(spec, enrolment.table)
        reduction = reduce(spec, enrolment, store, cluster)
        write_results(spec, made, enrolment, reduction, store, {})
    print_findings(store)
    return ExitCode.OK


def _committed(spec: AuditSpec, store: RunStore) -> tuple[ShardsMade, Enrolment]:
    """What `sample` and `enroll` have left. Raises SpecError if one of them has not been run to its end."""
    shards = plan_shards(spec.samples, spec.shard_size)
    run = ShardRun(spec, sampling_fingerprint(spec), SAMPLES_PREFIX, shards)
    outcomes = committed_outcomes(run, store)
    if len(outcomes) < len(shards):
        raise SpecError(
            f"{len(shards) - len(outcomes)} of {len(shards)} shards are missing: run `idleak sample` first"
        )
    if GALLERY_FILE not in store.sizes():
        raise SpecError(f"{store.location} has no {GALLERY_FILE}: run `idleak enroll` first")
    fingerprint = gallery_fingerprint(spec, list_photos(spec.gallery))
    fingerprint.require(Fingerprint(store.read_footer(GALLERY_FILE).fingerprint), GALLERY_FILE)
    made = ShardsMade(count_outcomes(list(outcomes.values())), len(shards), 0, {})
    require_few_invalid(made.outcomes.get(Outcome.INVALID_IMAGE, 0), spec.samples)
    return made, Enrolment(store.read_table(GALLERY_FILE), fingerprint)


def reduce(spec: AuditSpec, enrolment: Enrolment, store: RunStore, cluster: Cluster) -> Reduction:
    """Compare all samples with the gallery, judge, and write `neighbours.parquet` and `scores.parquet`.

    Both follow from the shards and the gallery, so earlier ones are replaced.
    """
    gallery = enrolled_gallery(enrolment.table, [one.name for one in spec.faces.recognizers])
    points = operating_points(gallery)
    thresholds = {name: point.threshold for name, point in points.items()}
    shards = plan_shards(spec.samples, spec.shard_size)
    with ProgressBar("reducing", spec.samples, "samples") as bar:
        partials = reduce_shards(
            spec, shards, gallery, thresholds, store, cluster, lambda report: bar.advance(report.rows)
        )
    if not all(partial.samples for partial in partials.values()):
        raise InvalidSamplesError(
            "no sample has a template, so nobody can be scored: see `outcome` in the shards, and check "
            "faces.detector, or give faces.landmarks"
        )
    judgements = judge(gallery, partials, spec.membership)
    fingerprint = verdict_fingerprint(spec, enrolment)
    for path, table in (
        (NEIGHBOURS_FILE, neighbours_table(gallery, partials)),
        (SCORES_FILE, scores_table(gallery, partials, judgements)),
    ):
        rows = table.num_rows
        footer = Footer(
            table=path.removesuffix(".parquet"), fingerprint=dict(fingerprint.fields), stop_id=rows, rows=rows
        )
        store.write_table(path, table, footer)
    return Reduction(gallery, points, judgements, fingerprint)


def verdict_fingerprint(spec: AuditSpec, enrolment: Enrolment) -> Fingerprint:
    """Everything that a verdict depends on, and the labels that its evaluation does."""
    membership = spec.membership
    return Fingerprint(
        {
            "samples.sha256": sampling_fingerprint(spec).digest,
            "gallery.sha256": enrolment.fingerprint.digest,
            "samples": str(spec.samples),
            "membership.scores": repr(membership.scores),
            "membership.topk": str(membership.topk),
            "membership.fdr": repr(membership.fdr),
            "operating_fmr": repr(OPERATING_FMR),
            "labels.sha256": digest_file(Path(spec.gallery.labels)) if spec.gallery.labels else "none",
            "version.algorithm": ALGORITHM_VERSION,
        }
    )
