"""Scores of people from what a search has found: with all that does not change from search to search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from distributed.membership.adjusted import Adjustments, Properties, adjusted
from distributed.membership.evidence import EvidenceBuilder, PersonScores, all_scores
from distributed.membership.frame import Frame
from distributed.membership.scores import Evidence
from distributed.reduce.margins import Twins
from distributed.reduce.partial import Partial
from distributed.reduce.queries import ComparedPeople
from schemas.spec.membership import MembershipSpec


@dataclass(frozen=True)
class Scoring:
    """people: by recogniser, as they are compared. builders: by recogniser. properties: of all people."""

    membership: MembershipSpec
    frame: Frame
    people: Mapping[str, ComparedPeople]
    twins: Twins
    builders: Mapping[str, EvidenceBuilder]
    properties: Properties

    @classmethod
    def of(
        cls,
        membership: MembershipSpec,
        frame: Frame,
        people: Mapping[str, ComparedPeople],
        twins: Twins,
        references: Mapping[str, Sequence[Partial]],
        attributes: Mapping[str, Mapping[str, str]],
    ) -> Scoring:
        """references: recogniser -> of each level, of a reference generator's samples; empty without one."""
        builders = {
            name: EvidenceBuilder.of(frame, compared, membership, references.get(name, ()))
            for name, compared in people.items()
        }
        return cls(membership, frame, people, twins, builders, Properties.of(frame, people, attributes))

    def scores(self, partials: Mapping[str, Sequence[Partial]]) -> PersonScores:
        """Adjusted, if the spec says so. partials: recogniser -> of each level."""
        raw = self._raw_scores(partials)
        return adjusted(raw, self.properties.adjustments(raw, self.membership))

    def adjustments(self, partials: Mapping[str, Sequence[Partial]]) -> Adjustments:
        """What is expected of everybody, by what a search has found."""
        return self.properties.adjustments(self._raw_scores(partials), self.membership)

    def _raw_scores(self, partials: Mapping[str, Sequence[Partial]]) -> PersonScores:
        return all_scores(self.evidences(partials), self.membership.scores, self.frame)

    def evidences(self, partials: Mapping[str, Sequence[Partial]]) -> dict[str, list[Evidence]]:
        """Recogniser -> of each level."""
        return {name: builder.evidence(partials[name]) for name, builder in self.builders.items()}
