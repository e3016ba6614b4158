"""The verdicts of each score, and how well it tells the labelled apart, for `results.json`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from distributed.gallery.labels import labels_of
from distributed.membership.judgement import Judgement
from distributed.stages.results.evaluation import auc, evaluation_of
from distributed.stages.results.facts import AuditFacts
from distributed.statistics.power import DETECTION_POWER, SHARES
from schemas.run.results import PrefixResult, ScoreResult, SettingResult
from schemas.run.tables import Verdict
from schemas.spec.generators.base import Sweep


def score_results(facts: AuditFacts) -> list[ScoreResult]:
    """Of every recogniser and score, in the order of judgements."""
    spec = facts.spec
    labels = labels_of(spec)
    return [_score(facts, judgement, labels) for judgement in facts.assessment.judgements]


def _score(facts: AuditFacts, judgement: Judgement, labels: Mapping[str, bool] | None) -> ScoreResult:
    assessment = facts.assessment
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
        at_floor=_at_floor(judgement, names),
        **_detectable(judgement),
        evaluation=None if labels is None else evaluation_of(names, judgement.calibrated.score, labels),
        prefixes=_prefixes(facts, judgement, names, labels),
        settings=_settings(facts, judgement, names),
    )


def _at_floor(judgement: Judgement, names: list[str]) -> list[str]:
    calibrated = judgement.calibrated
    at_floor = (calibrated.p_value <= calibrated.floor).tolist()
    return [
        name
        for name, decision, is_at_floor in zip(names, judgement.decisions, at_floor, strict=True)
        if is_at_floor and decision.verdict is Verdict.INCONCLUSIVE
    ]


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


def _settings(facts: AuditFacts, judgement: Judgement, names: list[str]) -> list[SettingResult]:
    settings = Sweep(facts.spec.generator.sweep).settings
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
        for setting in facts.assessment.settings
        if (setting.recognizer, setting.score_name) == (judgement.recognizer, judgement.score_name)
    ]


def _of_largest_p(judgement: Judgement, bounds: list[float]) -> float | None:
    """The bound of the whole set of flagged: that of the one with the largest q-value."""
    flagged = [decision for decision in judgement.decisions if decision.verdict is Verdict.LEAKED]
    if not bounds:
        return None
    return max(flagged, key=lambda decision: decision.q_value).fdp_bound


def _prefixes(
    facts: AuditFacts, judgement: Judgement, names: list[str], labels: Mapping[str, bool] | None
) -> list[PrefixResult]:
    prefixes = [
        prefix
        for prefix in facts.assessment.prefixes
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
