"""The verdicts of each score, and how well it tells the labelled apart, for `results.json`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distributed.gallery.labels import labels_of
from distributed.membership.judgement import Judgement
from distributed.membership.verdicts import Decisions
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
    decisions = judgement.decisions
    explained = np.flatnonzero(judgement.resembles >= 0)
    return ScoreResult(
        recognizer=judgement.recognizer,
        score_name=judgement.score_name,
        correction=judgement.correction,
        verdicts={verdict: int(decisions.are(verdict).sum()) for verdict in Verdict},
        flagged=_named(names, decisions.are(Verdict.LEAKED)),
        flagged_fdp_bound=_of_largest_p(decisions),
        least_members=judgement.least_members(),
        resembles={names[place]: gallery.names[judgement.resembles[place]] for place in explained},
        set_p_value=judgement.set_p_value,
        inconclusive_reasons=_inconclusive_reasons(decisions),
        at_floor=_at_floor(judgement, names),
        **_detectable(judgement),
        evaluation=None if labels is None else evaluation_of(names, judgement.calibrated.score, labels),
        prefixes=_prefixes(facts, judgement, names, labels),
        settings=_settings(facts, judgement, names),
    )


def _named(names: list[str], chosen: NDArray[np.bool_]) -> list[str]:
    return [names[place] for place in np.flatnonzero(chosen)]


def _at_floor(judgement: Judgement, names: list[str]) -> list[str]:
    at_floor = judgement.calibrated.p_value <= judgement.calibrated.floor
    return _named(names, at_floor & judgement.decisions.are(Verdict.INCONCLUSIVE))


def _inconclusive_reasons(decisions: Decisions) -> dict[str, int]:
    reasons = Counter[str]()
    for reason, _, count in decisions.whys_of(Verdict.INCONCLUSIVE):
        if reason is not None:
            reasons[reason] += count
    return dict(reasons)


def _detectable(judgement: Judgement) -> dict[str, Any]:
    """Of all who are not detected, what holds for each: the largest share."""
    whys = judgement.decisions.whys_of(Verdict.NOT_DETECTED)
    known = [detectable for _, detectable, _ in whys if detectable is not None]
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
    at = judgement.decisions.cleared_at
    return {f"{share:g}": int((at <= share * (1 + 1e-9)).sum()) for share in SHARES}


def _settings(facts: AuditFacts, judgement: Judgement, names: list[str]) -> list[SettingResult]:
    settings = Sweep(facts.spec.generator.sweep).settings
    return [
        SettingResult(
            factors=dict(settings[setting.setting]),
            samples=setting.samples,
            flagged=_named(names, setting.decisions.are(Verdict.LEAKED)),
        )
        for setting in facts.assessment.settings
        if (setting.recognizer, setting.score_name) == (judgement.recognizer, judgement.score_name)
    ]


def _of_largest_p(decisions: Decisions) -> float | None:
    """The bound of the whole set of flagged: that of the one with the largest q-value."""
    flagged = np.flatnonzero(decisions.are(Verdict.LEAKED))
    if not len(flagged):
        return None
    return float(decisions.fdp_bound[flagged[decisions.q_value[flagged].argmax()]])


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
