"""What silence about a candidate is worth, by people of the cohort who are planted among the samples."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from distributed.membership.judgement import Judgement
from distributed.membership.planted.ceiling import Ceiling, ceiling_of
from distributed.membership.planted.clearance import with_clearance
from distributed.membership.planted.detectability import with_detectability
from distributed.membership.planted.groups import Planting
from distributed.membership.planted.reach import Reach, reach_of
from distributed.membership.scoring import Scoring
from distributed.reduce.partial import Partial
from distributed.reduce.reducer import SampleTemplates


@dataclass(frozen=True)
class Silence:
    """judgements: with the shares at which people are cleared, and from which on they would have been
    flagged. ceilings: recogniser -> in which share of the samples people are at most."""

    judgements: Sequence[Judgement]
    reach: Reach
    ceilings: Mapping[str, Ceiling]


def silence_of(
    scoring: Scoring,
    judgements: Sequence[Judgement],
    partials: Mapping[str, Sequence[Partial]],
    samples: Mapping[str, SampleTemplates],
    done: Callable[[str], None],
) -> Silence:
    """judgements: the headline first. partials: recogniser -> of each level; samples: those that people are
    planted among."""
    frame, membership, flagged = scoring.frame, scoring.membership, judgements[0].flagged()
    plantings = {
        name: Planting(
            frame, name, people, scoring.twins, partials[name], samples[name], flagged, done
        ).groups(membership)
        for name, people in scoring.people.items()
    }
    thresholds = {name: people.thresholds for name, people in scoring.people.items()}
    evidences, adjustments = scoring.evidences(partials), scoring.adjustments(partials)
    reach = reach_of(frame, judgements, evidences, thresholds, plantings, adjustments)
    done("power")
    cleared = with_clearance(frame, judgements, reach, membership)
    detected = with_detectability(frame, cleared, reach, membership)
    done("clearance")
    ceilings = {name: ceiling_of(frame, name, partials[name], *of) for name, of in plantings.items()}
    done("limits")
    return Silence(detected, reach, ceilings)
