"""What the samples of a run say of its gallery: the result of the reduce, before it is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from distributed.gallery.enrolled import EnrolledGallery
from distributed.membership.evidence import PersonScores
from distributed.membership.frame import Frame
from distributed.membership.hits import HitCounts
from distributed.membership.judgement import Judgement
from distributed.membership.parts import Prefix, SettingScores
from distributed.membership.planted.ceiling import Ceiling
from distributed.membership.planted.reach import Reach
from distributed.membership.population import Population
from distributed.reduce.partial import Partial
from distributed.reduce.queries import ComparedPeople
from distributed.reduce.reducer import SampleTemplates
from distributed.statistics.drift import Drift
from distributed.statistics.people.operating_point import OperatingPoint
from distributed.statistics.people.roles import RoleTest


@dataclass(frozen=True)
class PlaceboOutcome:
    """What the headline's score says of a generator that nobody of the gallery trained.

    fingerprint: of its samples; samples: so many were compared. set_p_value: of all candidates together.
    flagged: names; there should be none.
    """

    kind: str
    fingerprint: str
    samples: int
    set_p_value: float
    flagged: Sequence[str]


@dataclass(frozen=True)
class Assessment:
    """What the samples say of the gallery.

    points: thresholds for two photos. people: as they were compared. partials: recogniser -> of all samples,
    at each level of the frame.
    reach: by recogniser, score and group, what it could have found. ceilings: by recogniser, how often people
    are among the samples at most. samples: the first templates, and those nearest
    to whom the headline flags.
    """

    frame: Frame
    points: Mapping[str, OperatingPoint]
    people: Mapping[str, ComparedPeople]
    partials: Mapping[str, Sequence[Partial]]
    scores: PersonScores
    judgements: Sequence[Judgement]
    hits: Sequence[HitCounts]
    reach: Reach
    ceilings: Mapping[str, Ceiling]
    population: Population | None
    prefixes: Sequence[Prefix]
    drifts: Sequence[Drift]
    roles: RoleTest | None
    samples: Mapping[str, SampleTemplates]
    settings: Sequence[SettingScores] = ()
    placebo: PlaceboOutcome | None = None

    @property
    def gallery(self) -> EnrolledGallery:
        return self.frame.gallery
