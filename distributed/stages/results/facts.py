"""What an audit has found out, before it is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from distributed.membership.assessment import Assessment
from distributed.membership.judgement import Judgement
from distributed.stages.enrolling.enrolment import Enrolment
from distributed.stages.shards import ShardsMade
from schemas.spec.audit import AuditSpec


@dataclass(frozen=True)
class AuditFacts:
    """The samples, the gallery and what they say of each other. seconds: wall time of each job of this
    invocation. device: for samples that are made again."""

    spec: AuditSpec
    made: ShardsMade
    enrolment: Enrolment
    assessment: Assessment
    seconds: Mapping[str, float] = field(default_factory=dict)
    device: str = "cpu"

    @property
    def headline(self) -> Judgement:
        """By the first score."""
        return self.assessment.judgements[HEADLINE]


HEADLINE = 0
