"""What the samples of a run say of its gallery: the result of the reduce, before it is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from distributed.gallery.enrolled import EnrolledGallery
from distributed.membership.detectability import Reach
from distributed.membership.evidence import PersonScores
from distributed.membership.frame import Calibrated, Frame
from distributed.membership.hits import HitCounts
from distributed.membership.judgement import Judgement
from distributed.membership.planted.ceiling import Ceiling
from distributed.membership.verdicts import Decision
from distributed.reduce.partial import Partial
from distributed.reduce.queries import ComparedPeople
from distributed.reduce.reducer import SampleTemplates
from distributed.statistics.drift import Drift
from distributed.statistics.people.operating_point import OperatingPoint
from distributed.statistics.people.population import Cluster as Crowd
from distributed.statistics.people.population import IdentityCount
from distributed.statistics.people.roles import RoleTest
from distributed.statistics.people.transitivity import Transitivity


@dataclass(frozen=True)
class Population:
    """How many people the generator makes, by one recogniser, and whom it makes most.

    transitivity: None if no sample matches two others.
    """

    recognizer: str
    count: IdentityCount
    transitivity: Transitivity | None
    crowds: Sequence[Crowd]


@dataclass(frozen=True)
class Prefix:
    """What the samples below one id show. scores: of m candidates."""

    samples: int
    recognizer: str
    score_name: str
    scores: NDArray[np.float64]
    flagged: int


@dataclass(frozen=True)
class SettingScores:
    """What the samples of one setting of a sweep show, by one recogniser × score.

    samples: those with a template. calibrated, decisions: of m candidates; q-values are within the setting.
    """

    setting: int
    samples: int
    recognizer: str
    score_name: str
    calibrated: Calibrated
    decisions: Sequence[Decision]


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
