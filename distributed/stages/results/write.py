"""Write `results.json`: what was found, and what it takes to find it again."""

from __future__ import annotations

import math
import os
import platform
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from distributed.embedding.fingerprint import recognizer_fields
from distributed.embedding.licences import UNKNOWN, licences
from distributed.gallery.labels import read_labels
from distributed.gallery.quality import GalleryQuality
from distributed.membership.assessment import Assessment
from distributed.membership.ceiling_result import ceiling_result
from distributed.membership.hits import HitCounts
from distributed.membership.judgement import Judgement
from distributed.membership.power_result import power_result
from distributed.runtime.versions import package_version
from distributed.stages.enroll import Enrolment
from distributed.stages.fingerprints import sampling_fingerprint
from distributed.stages.gallery_check import gallery_quality, separation_result
from distributed.stages.results.checks import drift_result, placebo_result, roles_result
from distributed.stages.results.evaluation import auc, evaluation_of
from distributed.stages.results.evidence import collect_evidence
from distributed.stages.results.ledger import enter_audit
from distributed.stages.shards import ShardsMade
from distributed.statistics.power import DETECTION_POWER, SHARES
from distributed.storage.authorisation import overrides
from distributed.storage.store import RunStore
from distributed.storage.trail import digests, record
from distributed.storage.vault import Vault
from schemas.fingerprint import Fingerprint
from schemas.run.artefacts import RESULTS_FILE
from schemas.run.results import (
    AuditResults,
    CrowdResult,
    Interval,
    OperatingPointResult,
    OverRepresentedResult,
    PeopleCounts,
    PopulationResult,
    PrefixResult,
    RecognizerResult,
    SampleCounts,
    ScoreResult,
    SettingResult,
)
from schemas.run.tables import Outcome, Role, Verdict
from schemas.spec.audit import AuditSpec
from schemas.spec.protection import AuthorisationSpec
from schemas.spec.sweep import Sweep
from schemas.version import idleak_version

PACKAGES = (
    "faiss-cpu",
    "numpy",
    "obstore",
    "onnxruntime",
    "pyarrow",
    "pydantic",
    "ray",
    "scikit-image",
    "scikit-learn",
    "scipy",
    "torch",
)
HEADLINE = 0


def write_results(
    spec: AuditSpec,
    made: ShardsMade,
    enrolment: Enrolment,
    assessment: Assessment,
    fingerprint: Fingerprint,
    store: RunStore,
    seconds: Mapping[str, float],
    device: str = "cpu",
) -> AuditResults:
    """Put the results together, check them against their model, and write them."""
    results = collect_results(
        spec, made, enrolment, assessment, fingerprint, seconds, device, overrides=overrides(store)
    )
    store.write(RESULTS_FILE, (results.model_dump_json(indent=2) + "\n").encode())
    record(store, "judged", wrote=digests(store, RESULTS_FILE))
    return results


def collect_results(
    spec: AuditSpec,
    made: ShardsMade,
    enrolment: Enrolment,
    assessment: Assessment,
    verdict: Fingerprint,
    seconds: Mapping[str, float],
    device: str,
    *,
    overrides: Sequence[str] = (),
) -> AuditResults:
    """Everything that `results.json` says. `seconds`: wall time of each job of this invocation."""
    fingerprint = sampling_fingerprint(spec)
    vault = Vault(spec.protection)
    labels = read_labels(Path(spec.gallery.labels), vault) if spec.gallery.labels else None
    stages = {f"shards.{stage}": spent for stage, spent in made.seconds.items()}
    headline = assessment.judgements[HEADLINE]
    quality = gallery_quality(spec, enrolment.compared)
    return AuditResults(
        name=spec.name,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        spec=spec.model_dump(mode="json"),
        paths_as_written=spec.locations_as_written,
        fingerprint=dict(fingerprint.fields),
        fingerprint_sha256=fingerprint.digest,
        gallery_fingerprint=dict(enrolment.fingerprint.fields),
        gallery_fingerprint_sha256=enrolment.fingerprint.digest,
        verdict_fingerprint_sha256=verdict.digest,
        authorisation=None if spec.authorisation is None else _texts(spec.authorisation),
        overrides=list(overrides),
        licenses=_licenses(spec),
        versions=versions(),
        machine=machine(),
        samples=_sample_counts(spec, made),
        candidates=_people(enrolment.compared, Role.CANDIDATE),
        cohort=_people(enrolment.compared, Role.COHORT),
        overlap=enrolment.overlap,
        recognizers=_recognizers(spec, assessment, quality),
        gallery_warnings=quality.warnings(),
        power=power_result(assessment, spec.membership),
        headline=HEADLINE,
        scores=[_score(spec, assessment, judgement, labels) for judgement in assessment.judgements],
        over_represented=[result for hit in assessment.hits for result in _over_represented(assessment, hit)],
        more_than_cohort=_more_than_cohort(assessment),
        ceiling=ceiling_result(assessment),
        population=_population(assessment),
        drift=[drift_result(drift) for drift in assessment.drifts],
        roles=roles_result(assessment.roles),
        placebo=placebo_result(spec, assessment.placebo),
        evidence=collect_evidence(spec, assessment, headline, device),
        ledger=enter_audit(spec, assessment, headline, verdict),
        seconds=dict(seconds) | stages,
    )


def _texts(authorisation: AuthorisationSpec) -> dict[str, str]:
    return {
        name: str(value) for name, value in authorisation.model_dump(mode="json", exclude_none=True).items()
    }


def _licenses(spec: AuditSpec) -> dict[str, str]:
    models = {model: terms.text for model, terms in licences(spec.faces).items()}
    return {"generator": spec.generator.license or UNKNOWN} | models


def versions() -> dict[str, str]:
    """Version of idleak, of Python and of every package that the numbers pass through."""
    return {"idleak": idleak_version(), "python": platform.python_version()} | {
        name: package_version(name) for name in PACKAGES
    }


def machine() -> dict[str, str]:
    """What the driver ran on; no names of hosts or people."""
    return {"system": platform.system(), "machine": platform.machine(), "cpus": str(os.cpu_count())}


def _sample_counts(spec: AuditSpec, made: ShardsMade) -> SampleCounts:
    rows = sum(made.outcomes.values())
    with_face = sum(made.outcomes.get(name, 0) for name in (Outcome.OK, Outcome.SEVERAL_FACES))
    return SampleCounts(
        planned=spec.samples,
        rows=rows,
        outcomes=dict(made.outcomes),
        detection_rate=with_face / rows if _is_searched(spec) else None,
        shards=made.shards,
        shards_made_now=made.made_now,
    )


def _is_searched(spec: AuditSpec) -> bool:
    """Whether samples are searched for faces."""
    return spec.generator.has_images and not spec.faces.landmarks


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


def _recognizers(spec: AuditSpec, assessment: Assessment, quality: GalleryQuality) -> list[RecognizerResult]:
    fields = recognizer_fields(spec.faces)
    return [
        RecognizerResult(
            name=name,
            sha256=fields[f"faces.recognizers.{name}.sha256"],
            dimension=assessment.gallery.templates[name].shape[1],
            operating_point=OperatingPointResult(
                threshold=point.threshold, fmr=point.fmr, comparisons=point.comparisons
            ),
            separation=separation_result(quality.recognizers[name]),
        )
        for name, point in assessment.points.items()
    ]


def _score(
    spec: AuditSpec, assessment: Assessment, judgement: Judgement, labels: Mapping[str, bool] | None
) -> ScoreResult:
    gallery, frame = assessment.gallery, assessment.frame
    names = [gallery.names[index] for index in frame.candidates]
    verdicts = judgement.verdicts()
    counts = Counter(verdicts)
    pairs = list(zip(names, verdicts, judgement.decisions, strict=True))
    explained = zip(names, judgement.resembles, strict=True)
    bounds = [decision.fdp_bound for _, verdict, decision in pairs if verdict is Verdict.LEAKED]
    return ScoreResult(
        recognizer=judgement.recognizer,
        score_name=judgement.score_name,
        correction=judgement.correction,
        verdicts={verdict: counts[verdict] for verdict in Verdict},
        flagged=[name for name, verdict, _ in pairs if verdict is Verdict.LEAKED],
        flagged_fdp_bound=_of_largest_p(judgement, bounds),
        least_members=judgement.least_members(),
        resembles={name: gallery.names[other] for name, other in explained if other >= 0},
        set_p_value=judgement.set_p_value,
        inconclusive_reasons=_inconclusive_reasons(judgement),
        **_detectable(judgement),
        evaluation=None if labels is None else evaluation_of(names, judgement.calibrated.score, labels),
        prefixes=_prefixes(assessment, judgement, names, labels),
        settings=_settings(spec, assessment, judgement, names),
    )


def _inconclusive_reasons(judgement: Judgement) -> dict[str, int]:
    return dict(
        Counter(
            decision.reason
            for decision in judgement.decisions
            if decision.verdict is Verdict.INCONCLUSIVE and decision.reason is not None
        )
    )


def _detectable(judgement: Judgement) -> dict[str, Any]:
    """Of all who are not detected, what holds for each: the largest share."""
    known = [decision.detectable for decision in judgement.decisions if decision.detectable is not None]
    if not known:
        return {
            "detectable_share": None,
            "detectable_chance": DETECTION_POWER,
            "cleared": _cleared(judgement),
        }
    largest = max(known, key=lambda detectable: detectable.share)
    return {
        "detectable_share": largest.share,
        "detectable_chance": DETECTION_POWER,
        "detectable_low": largest.low,
        "detectable_high": largest.high,
        "detectable_for_most": largest.most.share,
        "detectable_for_most_low": largest.most.low,
        "detectable_for_most_high": largest.most.high,
        "cleared": _cleared(judgement),
        "likeness": largest.likeness.value,
        "likeness_source": largest.likeness.source,
    }


def _cleared(judgement: Judgement) -> dict[str, int]:
    """How many candidates are cleared at each share of SHARES."""
    shares = [of.cleared_at for of in judgement.decisions if of.cleared_at is not None]
    return {f"{share:g}": sum(at <= share * (1 + 1e-9) for at in shares) for share in SHARES}


def _settings(
    spec: AuditSpec, assessment: Assessment, judgement: Judgement, names: list[str]
) -> list[SettingResult]:
    settings = Sweep(spec.generator.sweep).settings
    return [
        SettingResult(
            factors=dict(settings[setting.setting]),
            samples=setting.samples,
            flagged=[
                name
                for name, decision in zip(names, setting.decisions, strict=True)
                if decision.verdict is Verdict.LEAKED
            ],
        )
        for setting in assessment.settings
        if (setting.recognizer, setting.score_name) == (judgement.recognizer, judgement.score_name)
    ]


def _of_largest_p(judgement: Judgement, bounds: list[float]) -> float | None:
    """The bound of the whole set of flagged: that of the one with the largest q-value."""
    flagged = [decision for decision in judgement.decisions if decision.verdict is Verdict.LEAKED]
    if not bounds:
        return None
    return max(flagged, key=lambda decision: decision.q_value).fdp_bound


def _prefixes(
    assessment: Assessment, judgement: Judgement, names: list[str], labels: Mapping[str, bool] | None
) -> list[PrefixResult]:
    prefixes = [
        prefix
        for prefix in assessment.prefixes
        if (prefix.recognizer, prefix.score_name) == (judgement.recognizer, judgement.score_name)
    ]
    return [
        PrefixResult(
            samples=prefix.samples,
            flagged=prefix.flagged,
            roc_auc=None if labels is None else auc(names, prefix.scores, labels),
        )
        for prefix in prefixes
    ]


def _over_represented(assessment: Assessment, hits: HitCounts) -> list[OverRepresentedResult]:
    frame = assessment.frame
    return [
        OverRepresentedResult(
            identity=assessment.gallery.names[frame.candidates[place]],
            recognizer=hits.recognizer,
            least_margin=hits.margin,
            hits=int(hits.hits[place]),
            per_million=Interval(
                value=float(hits.per_million[place]), low=float(hits.low[place]), high=float(hits.high[place])
            ),
            expected_per_million=float(hits.expected[place]),
            ratio=_finite(float(hits.ratio[place])),
            model_p_value=float(hits.p_value[place]),
            least_times=float(hits.least_times[place]),
            others=int(hits.others[place]),
            among_flagged=hits.among_flagged,
        )
        for place in np.flatnonzero(hits.flagged)
    ]


def _more_than_cohort(assessment: Assessment) -> list[str]:
    more = np.any([hits.more for hits in assessment.hits], axis=0)
    return [assessment.gallery.names[index] for index in assessment.frame.candidates[more]]


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _population(assessment: Assessment) -> PopulationResult | None:
    population = assessment.population
    if population is None:
        return None
    transitive = population.transitivity
    counts = transitive is None or not transitive.fails
    return PopulationResult(
        recognizer=population.recognizer,
        samples=population.count.samples,
        collisions=population.count.collisions,
        estimate=_finite(population.count.estimate),
        low=population.count.low if counts else None,
        high=_finite(population.count.high) if counts else None,
        closure=None if transitive is None else transitive.closure,
        least_closure=None if transitive is None else transitive.least,
        crowds=[
            CrowdResult(
                sample_id=crowd.sample_id,
                samples=crowd.members,
                share=crowd.share,
            )
            for crowd in population.crowds
        ],
    )
