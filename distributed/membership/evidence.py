"""What the samples show of each person: the input of the scores, and the scores of all people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from distributed.membership.frame import Floats, Frame
from distributed.membership.scores import Evidence, person_scores
from distributed.reduce.partial import Partial
from distributed.reduce.queries import ComparedPeople
from distributed.statistics.people.density import reference_log_density
from schemas.run.tables import Role
from schemas.spec.membership import MembershipSpec

CONSENSUS = "consensus"
EVERY_RECOGNIZER = "all"
PersonScores = dict[tuple[str, str], Floats]
"""(recogniser, score name) -> the scores of all people at each level of photos, float64 (l, P)."""


@dataclass(frozen=True)
class EvidenceBuilder:
    """Builds the evidence of one recogniser for any merged search.

    reference_density: by level, float64 (P,), or none. reference: by level, of the reference generator.
    """

    membership: MembershipSpec
    dimension: int
    reference_density: Sequence[Floats]
    reference: Sequence[Partial]

    @classmethod
    def of(
        cls,
        frame: Frame,
        people: ComparedPeople,
        membership: MembershipSpec,
        reference: Sequence[Partial] = (),
    ) -> EvidenceBuilder:
        density: list[Floats] = []
        if "density_ratio" in membership.scores:
            everybody, cohort = np.arange(len(frame.gallery.names)), frame.gallery.members_of(Role.COHORT)
            density = [
                reference_log_density(rows, everybody, rows[cohort], cohort, membership.topk)
                for rows in people.levels
            ]
        return cls(membership, people.levels[0].shape[1], density, reference)

    def evidence(self, partials: Sequence[Partial]) -> list[Evidence]:
        """Of each level."""
        return [
            Evidence(
                partial,
                self.membership.topk,
                self.dimension,
                self.reference_density[level] if self.reference_density else None,
                self.reference[level] if self.reference else None,
            )
            for level, partial in enumerate(partials)
        ]


def combined_score(names: Sequence[str]) -> str:
    """The score that `consensus` combines: the first other one."""
    return next(name for name in names if name != CONSENSUS)


def in_units(frame: Frame, scores: PersonScores, name: str) -> list[Floats]:
    """A score of each recogniser in units of its spread over the cohort, each float64 (l, P)."""
    cohort = frame.gallery.members_of(Role.COHORT)
    units = []
    for (_, score_name), values in scores.items():
        if score_name == name:
            deviation = values[:, cohort].std(axis=1, keepdims=True)
            mean = values[:, cohort].mean(axis=1, keepdims=True)
            units.append((values - mean) / np.where(deviation > 0, deviation, 1.0))
    return units


def all_scores(
    evidences: Mapping[str, Sequence[Evidence]], names: Sequence[str], frame: Frame
) -> PersonScores:
    """All recognisers × scores of people at each level; `consensus`, if wanted, last.

    consensus: the mean over recognisers of the first other score, each in units of its cohort's spread, so
    that no recogniser's range outweighs another's. What leaks may show in one recogniser and not in another:
    Tinsley et al. 2021, This Face Does Not Exist... But It Might Be Yours, WACV.
    """
    plain = [name for name in names if name != CONSENSUS]
    scores: PersonScores = {}
    for recognizer, levels in evidences.items():
        by_level = [person_scores(evidence, plain) for evidence in levels]
        for name in plain:
            scores[recognizer, name] = np.stack([values[name] for values in by_level])
    if CONSENSUS in names:
        units = in_units(frame, scores, combined_score(names))
        scores[EVERY_RECOGNIZER, CONSENSUS] = np.mean(units, axis=0)
    return scores
