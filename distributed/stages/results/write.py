"""Write `results.json`: what an audit says, and what it takes to repeat it."""

from __future__ import annotations

from distributed.stages.enrolling.gallery_check import gallery_quality
from distributed.stages.fingerprints import verdict_fingerprint
from distributed.stages.results.ceiling import ceiling_result
from distributed.stages.results.checks import drift_result, placebo_result, roles_result
from distributed.stages.results.evidence import collect_evidence
from distributed.stages.results.facts import HEADLINE, AuditFacts
from distributed.stages.results.gallery import people_counts, recognizer_results
from distributed.stages.results.ledger import enter_audit
from distributed.stages.results.people import more_than_cohort, over_represented_result, population_result
from distributed.stages.results.power import power_result
from distributed.stages.results.provenance import provenance
from distributed.stages.results.scores import score_results
from distributed.storage.store import RunStore
from distributed.storage.trail import digests, record
from schemas.run.artefacts import RESULTS_FILE
from schemas.run.results import AuditResults, SampleCounts
from schemas.run.tables import Outcome, Role
from schemas.spec.audit import AuditSpec


def write_results(facts: AuditFacts, store: RunStore) -> AuditResults:
    """Put the results together, check them against their model, and write them."""
    results = collect_results(facts, store)
    store.write(RESULTS_FILE, (results.model_dump_json(indent=2) + "\n").encode())
    record(store, "judged", wrote=digests(store, RESULTS_FILE))
    return results


def collect_results(facts: AuditFacts, store: RunStore) -> AuditResults:
    """Everything that `results.json` says. store: of the run, whose audit log knows of overrides."""
    spec, enrolment, assessment = facts.spec, facts.enrolment, facts.assessment
    verdict = verdict_fingerprint(spec, enrolment.fingerprint).digest
    quality = gallery_quality(spec, enrolment.compared)
    return AuditResults(
        **provenance(facts, store),
        verdict_fingerprint_sha256=verdict,
        samples=_sample_counts(facts),
        candidates=people_counts(enrolment.compared, Role.CANDIDATE),
        cohort=people_counts(enrolment.compared, Role.COHORT),
        overlap=enrolment.overlap,
        recognizers=recognizer_results(facts, quality),
        gallery_warnings=quality.warnings(),
        power=power_result(assessment, spec.membership),
        headline=HEADLINE,
        scores=score_results(facts),
        over_represented=[
            result for hits in assessment.hits for result in over_represented_result(assessment, hits)
        ],
        more_than_cohort=more_than_cohort(assessment),
        ceiling=ceiling_result(assessment),
        population=population_result(assessment),
        drift=[drift_result(drift) for drift in assessment.drifts],
        roles=roles_result(assessment.roles),
        placebo=placebo_result(spec, assessment.placebo),
        evidence=collect_evidence(facts),
        ledger=enter_audit(spec, assessment, verdict),
    )


def _sample_counts(facts: AuditFacts) -> SampleCounts:
    spec, made = facts.spec, facts.made
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
