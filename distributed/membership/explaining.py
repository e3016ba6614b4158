"""Explaining away: a second look at suspects, each among the samples that fit them best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from distributed.membership.evidence import EVERY_RECOGNIZER, Scale, score_book
from distributed.membership.frame import Floats, Frame, Integers
from distributed.membership.hits import HitCounts, count_hits
from distributed.membership.judgement import Judgement
from distributed.membership.scores import Evidence
from distributed.membership.verdicts import decide, explained_by
from distributed.reduce.neighbours import Partial
from distributed.reduce.reducer import SampleTemplates
from distributed.statistics.calibration import conformal_p_values
from distributed.statistics.matching import identity_means
from distributed.statistics.people.explaining import explainer, supported
from schemas.run.tables import Verdict
from schemas.spec.membership import MembershipSpec


@dataclass(frozen=True)
class Support:
    """A second look at some people, each among the samples that support them.

    people: int64 (f,), indices of identities, rising; photos: int64, their rows in the gallery. partials,
    evidences, samples: by recogniser, of these photos; nearest: by recogniser, of the whole gallery.
    """

    people: Integers
    photos: Integers
    partials: Mapping[str, Partial]
    evidences: Mapping[str, Evidence]
    nearest: Mapping[str, Partial]
    samples: Mapping[str, SampleTemplates]


def suspects(frame: Frame, judgements: Sequence[Judgement], hits: Sequence[HitCounts]) -> Integers:
    """Everybody whom some score flags or who is over-represented, int64, rising."""
    chosen = np.zeros(len(frame.candidates), dtype=np.bool_)
    for judgement in judgements:
        chosen |= judgement.flagged()
    for hit in hits:
        chosen |= hit.flagged
    return frame.candidates[chosen]


def explain_away(
    frame: Frame,
    judgements: Sequence[Judgement],
    support: Support,
    membership: MembershipSpec,
    scales: Mapping[str, Scale] | None,
) -> list[Judgement]:
    """Decide again, each suspect on the samples that fit them best. See `docs/method.md`.

    A p-value only grows by it, so it stays valid; nobody is flagged who was not before.
    """
    scores_by_name = score_book(support.evidences, membership.scores, scales, frame)
    explainers = {name: _explainers(frame, support, name) for name in support.evidences}
    explainers[EVERY_RECOGNIZER] = explainers[next(iter(support.evidences))]
    return [
        _explain_one(
            frame,
            judgement,
            support,
            scores_by_name[judgement.recognizer, judgement.score_name],
            explainers[judgement.recognizer],
            membership,
        )
        for judgement in judgements
    ]


def _explain_one(
    frame: Frame,
    judgement: Judgement,
    support: Support,
    photo_score: Floats,
    explainers: Mapping[int, int],
    membership: MembershipSpec,
) -> Judgement:
    calibrated = judgement.calibrated
    explained = np.full(len(calibrated.p_value), np.nan)
    for index, group in enumerate(frame.groups):
        in_group = np.flatnonzero((frame.group_of == index) & np.isin(frame.candidates, support.people))
        gallery = frame.gallery
        rows = support.photos
        means = identity_means(
            photo_score, gallery.identity[rows], gallery.rank[rows], group.photos, len(gallery.names)
        )
        again = conformal_p_values(means[frame.candidates[in_group]], calibrated.cohort[index])
        explained[in_group] = np.maximum(again, calibrated.p_value[in_group])
    p = np.where(np.isnan(explained), calibrated.p_value, explained)
    decisions = decide(p, calibrated.floor, fdr=membership.fdr, correction=membership.correction)
    resembles = np.full(len(p), -1, dtype=np.int64)
    before = judgement.flagged()
    for place, decision in enumerate(decisions):
        other = explainers.get(int(frame.candidates[place]))
        vanished = p[place] > calibrated.p_value[place] and other is not None
        if before[place] and decision.verdict is not Verdict.LEAKED and vanished:
            assert other is not None
            resembles[place] = other
            decisions[place] = explained_by(decision, frame.gallery.names[other])
    return replace(judgement, decisions=decisions, explained_p_value=explained, resembles=resembles)


def _explainers(frame: Frame, support: Support, recognizer: str) -> dict[int, int]:
    """Suspect -> whom most of their nearest samples support instead, if anybody."""
    gallery, samples = frame.gallery, support.samples[recognizer]
    photos = gallery.templates[recognizer][support.photos]
    owner = np.searchsorted(support.people, gallery.identity[support.photos])
    explainers = {}
    for column, person in enumerate(support.people):
        ids = support.nearest[recognizer].neighbours.sample_id[gallery.identity == person]
        rows = np.searchsorted(samples.sample_id, np.unique(ids[ids >= 0]))
        other = explainer(supported(samples.templates[rows], photos, owner), column)
        if other is not None:
            explainers[int(person)] = int(support.people[other])
    return explainers


def explain_hits(frame: Frame, counts: HitCounts, before: Partial, support: Support, fdr: float) -> HitCounts:
    """Test over-representation again, each suspect by the hits of the samples that support them."""
    merged = before.identity_hits.copy()
    merged[:, support.people] = support.partials[counts.recognizer].identity_hits
    again = count_hits(frame, counts.recognizer, replace(before, identity_hits=merged), fdr)
    lost = counts.flagged & ~again.flagged
    explainers = _explainers(frame, support, counts.recognizer)
    resembles = np.array(
        [
            explainers.get(int(candidate), -1) if gone else -1
            for candidate, gone in zip(frame.candidates, lost, strict=True)
        ],
        dtype=np.int64,
    )
    return replace(counts, flagged=counts.flagged & again.flagged, resembles=resembles)
