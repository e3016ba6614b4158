"""Write `results.json`: what was found, and what it takes to find it again."""

from __future__ import annotations

import os
import platform
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from distributed.enrolled import EnrolledGallery
from distributed.fingerprints import package_version, recognizer_fields, sampling_fingerprint
from distributed.judgement import Judgement, Reduction
from distributed.labels import read_labels
from distributed.reduce.calibration import cohort_needed, flaggable_count, smallest_p_value
from distributed.reduce.evaluation import Estimate, evaluate
from distributed.shard_run import ShardsMade
from distributed.store import RunStore
from jobs.enroll import Enrolment
from schemas.layout import RESULTS_FILE
from schemas.results import (
    AuditResults,
    EvaluationResult,
    Interval,
    OperatingPointResult,
    PeopleCounts,
    PowerResult,
    RecognizerResult,
    SampleCounts,
    ScoreResult,
    TprAtFprResult,
)
from schemas.spec import AuditSpec
from schemas.tables import Outcome, Role, Verdict

PACKAGES = (
    "faiss-cpu",
    "numpy",
    "obstore",
    "onnxruntime",
    "pyarrow",
    "pydantic",
    "ray",
    "scikit-learn",
    "scipy",
    "torch",
)
EVALUATION_SEED = 0


def write_results(
    spec: AuditSpec,
    made: ShardsMade,
    enrolment: Enrolment,
    reduction: Reduction,
    store: RunStore,
    seconds: Mapping[str, float],
) -> AuditResults:
    """Put the results together, check them against their model, and write them."""
    results = collect_results(spec, made, enrolment, reduction, seconds)
    store.write(RESULTS_FILE, (results.model_dump_json(indent=2) + "\n").encode())
    return results


def collect_results(
    spec: AuditSpec,
    made: ShardsMade,
    enrolment: Enrolment,
    reduction: Reduction,
    seconds: Mapping[str, float],
) -> AuditResults:
    """Everything that `results.json` says. `seconds`: wall time of each job of this invocation."""
    fingerprint = sampling_fingerprint(spec)
    labels = read_labels(Path(spec.gallery.labels)) if spec.gallery.labels else None
    stages = {f"shards.{stage}": spent for stage, spent in made.seconds.items()}
    return AuditResults(
        name=spec.name,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        spec=spec.model_dump(mode="json"),
        fingerprint=dict(fingerprint.fields),
        fingerprint_sha256=fingerprint.digest,
        gallery_fingerprint=dict(enrolment.fingerprint.fields),
        gallery_fingerprint_sha256=enrolment.fingerprint.digest,
        verdict_fingerprint_sha256=reduction.fingerprint.digest,
        versions=versions(),
        machine=machine(),
        samples=_sample_counts(spec, made),
        candidates=_people(enrolment.table, Role.CANDIDATE),
        cohort=_people(enrolment.table, Role.COHORT),
        recognizers=_recognizers(spec, reduction),
        power=_power(reduction.gallery, spec.membership.fdr),
        headline=0,
        scores=[_score(reduction.gallery, one, labels) for one in reduction.judgements],
        seconds=dict(seconds) | stages,
    )


def versions() -> dict[str, str]:
    """Version of Python and of every package that the numbers pass through."""
    return {"python": platform.python_version()} | {name: package_version(name) for name in PACKAGES}


def machine() -> dict[str, str]:
    """What the driver ran on; no names of hosts or people."""
    return {"system": platform.system(), "machine": platform.machine(), "cpus": str(os.cpu_count())}


def _sample_counts(spec: AuditSpec, made: ShardsMade) -> SampleCounts:
    rows = sum(made.outcomes.values())
    found = sum(made.outcomes.get(name, 0) for name in (Outcome.OK, Outcome.SEVERAL_FACES))
    return SampleCounts(
        planned=spec.samples,
        rows=rows,
        outcomes=dict(made.outcomes),
        detection_rate=None if spec.faces.landmarks else found / rows,
        shards=made.shards,
        shards_made_now=made.made_now,
    )


def _people(table: pa.Table, role: Role) -> PeopleCounts:
    side = table.filter(pc.equal(table["role"], role))
    outcomes = Counter(side["outcome"].to_pylist())
    accepted = side.filter(pc.equal(side["outcome"], Outcome.OK))
    everyone = set(side["identity"].to_pylist())
    return PeopleCounts(
        identities=len(everyone),
        photos=side.num_rows,
        refused={name: count for name, count in sorted(outcomes.items()) if name != Outcome.OK},
        without_template=sorted(everyone - set(accepted["identity"].to_pylist())),
    )


def _recognizers(spec: AuditSpec, reduction: Reduction) -> list[RecognizerResult]:
    fields = recognizer_fields(spec.faces)
    return [
        RecognizerResult(
            name=name,
            sha256=fields[f"faces.recognizers.{name}.sha256"],
            dimension=reduction.gallery.templates[name].shape[1],
            operating_point=OperatingPointResult(
                threshold=point.threshold, fmr=point.fmr, comparisons=point.comparisons
            ),
        )
        for name, point in reduction.points.items()
    ]


def _power(gallery: EnrolledGallery, fdr: float) -> PowerResult:
    candidates, cohort = len(gallery.members_of(Role.CANDIDATE)), len(gallery.members_of(Role.COHORT))
    return PowerResult(
        cohort=cohort,
        candidates=candidates,
        smallest_p_value=smallest_p_value(cohort),
        fdr=fdr,
        flaggable_from=flaggable_count(candidates, cohort, fdr),
        cohort_needed_for_one=cohort_needed(candidates, 1, fdr),
    )


def _score(gallery: EnrolledGallery, judgement: Judgement, labels: Mapping[str, bool] | None) -> ScoreResult:
    names = [gallery.names[index] for index in gallery.members_of(Role.CANDIDATE)]
    verdicts = judgement.verdicts()
    counts = Counter(verdicts)
    pairs = zip(names, verdicts, strict=True)
    reasons = {one.reason for one in judgement.decisions if one.reason}
    return ScoreResult(
        recognizer=judgement.recognizer,
        score_name=judgement.score_name,
        verdicts={verdict: counts[verdict] for verdict in Verdict},
        flagged=[name for name, verdict in pairs if verdict is Verdict.LEAKED],
        inconclusive_reason=min(reasons, default=None),
        evaluation=None if labels is None else _evaluate(gallery, judgement, labels),
    )


def _evaluate(gallery: EnrolledGallery, judgement: Judgement, labels: Mapping[str, bool]) -> EvaluationResult:
    """The evaluation over the labelled candidates."""
    labelled = [index for index in gallery.members_of(Role.CANDIDATE) if gallery.names[index] in labels]
    member = np.array([labels[gallery.names[index]] for index in labelled], bool)
    found = evaluate(judgement.score[labelled], member, seed=EVALUATION_SEED)
    return EvaluationResult(
        members=found.members,
        non_members=found.non_members,
        roc_auc=_interval(found.auc),
        average_precision=_interval(found.average_precision),
        tpr_at_fpr=[
            TprAtFprResult(fpr=one.bound, tpr=_interval(one.tpr), resolved=one.resolved)
            for one in found.tpr_at_fpr
        ],
    )


def _interval(estimate: Estimate) -> Interval:
    return Interval(value=estimate.value, low=estimate.low, high=estimate.high)
