"""From merged partial results to scores, p-values and verdicts of every identity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from distributed.enrolled import EnrolledGallery
from distributed.reduce.calibration import cohort_p_values, conformal_p_values
from distributed.reduce.neighbours import Partial
from distributed.reduce.scores import OPERATING_FMR, OperatingPoint, operating_threshold, score_identities
from distributed.reduce.verdicts import Decision, decide
from schemas.fingerprint import Fingerprint
from schemas.spec import MembershipSpec
from schemas.tables import NEIGHBOURS_SCHEMA, SCORES_SCHEMA, Role, Verdict


@dataclass(frozen=True)
class Judgement:
    """One recogniser × score. `score`, `p_value`: (i,) float64; `decisions`: one per candidate, in the
    gallery's order of candidates."""

    recognizer: str
    score_name: str
    score: NDArray[np.float64]
    p_value: NDArray[np.float64]
    decisions: Sequence[Decision]

    def verdicts(self) -> list[Verdict]:
        return [one.verdict for one in self.decisions]


@dataclass(frozen=True)
class Reduction:
    """What the samples say of the gallery. `fingerprint`: everything that the verdicts depend on."""

    gallery: EnrolledGallery
    points: Mapping[str, OperatingPoint]
    judgements: Sequence[Judgement]
    fingerprint: Fingerprint


def operating_points(gallery: EnrolledGallery) -> dict[str, OperatingPoint]:
    """Each recogniser's threshold of a hit, from the cohort's own photos."""
    cohort = np.isin(gallery.identity, gallery.members_of(Role.COHORT))
    return {
        name: operating_threshold(templates[cohort], gallery.identity[cohort], OPERATING_FMR)
        for name, templates in gallery.templates.items()
    }


def judge(
    gallery: EnrolledGallery, partials: Mapping[str, Partial], membership: MembershipSpec
) -> list[Judgement]:
    """All recognisers × scores, in the spec's order. Each is a family of its own for the FDR."""
    judgements = []
    for recognizer, partial in partials.items():
        scores = score_identities(partial, gallery.identity, membership.scores, topk=membership.topk)
        judgements += [
            _judge_score(gallery, recognizer, name, scores[name], membership.fdr)
            for name in membership.scores
        ]
    return judgements


def _judge_score(
    gallery: EnrolledGallery, recognizer: str, name: str, score: NDArray[np.float64], fdr: float
) -> Judgement:
    candidates, cohort = gallery.members_of(Role.CANDIDATE), gallery.members_of(Role.COHORT)
    p_value = np.empty_like(score)
    p_value[candidates] = conformal_p_values(score[candidates], score[cohort])
    p_value[cohort] = cohort_p_values(score[cohort])
    decisions = decide(p_value[candidates], cohort=len(cohort), fdr=fdr)
    return Judgement(recognizer, name, score, p_value, decisions)


def neighbours_table(gallery: EnrolledGallery, partials: Mapping[str, Partial]) -> pa.Table:
    """`neighbours.parquet`: the nearest samples of every photo, rank 1 first."""
    tables = [_neighbours_of(gallery, name, partial) for name, partial in partials.items()]
    return pa.concat_tables(tables)


def _neighbours_of(gallery: EnrolledGallery, recognizer: str, partial: Partial) -> pa.Table:
    sample_id = partial.neighbours.sample_id
    photo, rank = np.nonzero(sample_id >= 0)
    identities = pa.array(gallery.names, pa.string()).take(pa.array(gallery.identity[photo]))
    columns = [
        identities,
        pa.array(gallery.photos, pa.string()).take(pa.array(photo)),
        pa.repeat(recognizer, len(photo)),
        pa.array(rank + 1, pa.int32()),
        pa.array(sample_id[photo, rank]),
        pa.array(partial.neighbours.similarity[photo, rank]),
    ]
    return pa.Table.from_arrays(columns, schema=NEIGHBOURS_SCHEMA)


def scores_table(
    gallery: EnrolledGallery, partials: Mapping[str, Partial], judgements: Sequence[Judgement]
) -> pa.Table:
    """`scores.parquet`: one row per identity × recogniser × score."""
    return pa.concat_tables([_scores_of(gallery, partials[one.recognizer], one) for one in judgements])


def _scores_of(gallery: EnrolledGallery, partial: Partial, judgement: Judgement) -> pa.Table:
    rows = len(gallery.names)
    q_value: list[float | None] = [None] * rows
    verdict: list[str | None] = [None] * rows
    for index, decision in zip(gallery.members_of(Role.CANDIDATE), judgement.decisions, strict=True):
        q_value[index], verdict[index] = decision.q_value, str(decision.verdict)
    columns = [
        pa.array(gallery.names, pa.string()),
        pa.array([str(role) for role in gallery.roles], pa.string()),
        pa.repeat(judgement.recognizer, rows),
        pa.repeat(judgement.score_name, rows),
        pa.array(judgement.score),
        pa.array(judgement.p_value),
        pa.array(q_value, pa.float64()),
        pa.array(verdict, pa.string()),
        pa.array(gallery.photos_per_identity(), pa.int32()),
        pa.array(partial.identity_hits),
    ]
    return pa.Table.from_arrays(columns, schema=SCORES_SCHEMA)
