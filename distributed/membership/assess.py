"""What the samples of a run say of its gallery: the core of an audit. Knows neither Ray nor files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from distributed.gallery.enrolled import EnrolledGallery
from distributed.membership.assessment import Assessment
from distributed.membership.comparison import compared_people, operating_points, twins_of
from distributed.membership.correction import correction_of
from distributed.membership.evidence import CONSENSUS
from distributed.membership.frame import Frame, calibration_frame, drifts_of
from distributed.membership.hits import count_hits
from distributed.membership.judgement import Judgement, judge
from distributed.membership.lookalikes import with_lookalikes
from distributed.membership.parts import StepObserver, Steps, prefix_scores, setting_scores
from distributed.membership.planted.silence import silence_of
from distributed.membership.population import POPULATION_SAMPLES, population_of
from distributed.membership.scoring import Scoring
from distributed.reduce.partial import Partial
from distributed.reduce.passes import SamplePasses, search_reference, with_hit_thresholds
from distributed.reduce.queries import ComparedPeople
from schemas.spec.audit import AuditSpec
from schemas.spec.membership import MembershipSpec

PLANTED_AMONG = 1000
"""Of these the planted samples get what they share with samples, where identities are not counted."""


@dataclass(frozen=True)
class KnownPeople:
    """Whom samples are compared with, and what is known of them.

    attributes: column -> identity -> value. twins: names of people who may be one person. reference: the run
    of a reference generator, for `calibrated`.
    """

    gallery: EnrolledGallery
    attributes: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    twins: Sequence[tuple[str, str]] = ()
    reference: AuditSpec | None = None


@dataclass(frozen=True)
class Diagnostics:
    """What an assessment says beside its verdicts. None of it changes one, and it takes most of the time.

    prefixes: rising shares of the samples, for which scores and flags are reported too. tails: extrapolated
    p-values. set_test: one p-value of all candidates together. population: how many people are made. roles:
    whether templates tell candidates from the cohort.
    """

    prefixes: tuple[float, ...] = (0.01, 0.03, 0.1, 0.3)
    tails: bool = True
    set_test: bool = True
    population: bool = True
    roles: bool = True

    def cuts(self, samples: int) -> tuple[int, ...]:
        """Rising sample ids, the last one that of all samples."""
        return tuple(sorted({max(1, int(np.ceil(share * samples))) for share in (*self.prefixes, 1.0)}))


ALL = Diagnostics()
VERDICTS_AND_SET = Diagnostics((), tails=False, population=False, roles=False)
VERDICTS_ALONE = Diagnostics((), tails=False, set_test=False, population=False, roles=False)


def assess(
    spec: AuditSpec,
    known: KnownPeople,
    passes: SamplePasses,
    diagnostics: Diagnostics = ALL,
    observer: StepObserver | None = None,
) -> Assessment:
    """All passes over the samples, and what they show: scores, p-values, verdicts.

    observer: is told of the steps of what follows the search of all samples.

    Raises InvalidSamplesError if no sample has a template, and what the passes raise.
    """
    gallery, membership, cuts = known.gallery, spec.membership, diagnostics.cuts(spec.samples)
    frame, centres = calibration_frame(gallery, membership, known.attributes), passes.centres()
    people, twins = compared_people(frame, centres, membership), twins_of(gallery, known.twins)
    for name in membership.scores:
        correction_of(frame, name, membership)
    people = with_hit_thresholds(spec, people, twins, passes)
    references = search_reference(spec, people, twins, passes, known.reference)
    scoring = Scoring.of(membership, frame, people, twins, references, known.attributes)
    steps = Steps(_planned(frame, len(cuts), membership, people, diagnostics), observer)
    scores, prefixes, partials = prefix_scores(scoring, passes.search(people, twins, cuts), cuts, steps)
    judgements = judge(
        frame, scores, membership, tails=diagnostics.tails, set_test=diagnostics.set_test, done=steps.done
    )
    judgements = [with_lookalikes(frame, judgement, partials) for judgement in judgements]
    samples = passes.gather(_wanted_samples(spec, frame, partials, judgements[0], diagnostics))
    steps.done("samples")
    silence = silence_of(scoring, judgements, partials, samples, steps.done)
    hits = [
        count_hits(frame, name, levels, membership.fdr, judgements[0].flagged())
        for name, levels in partials.items()
    ]
    points, drifts = operating_points(gallery, membership.hit_fmr), drifts_of(frame)
    steps.done("hits")
    population = population_of(gallery, samples) if diagnostics.population else None
    roles = scoring.properties.role_test(frame) if diagnostics.roles else None
    steps.done("population")
    return Assessment(
        frame=frame,
        points=points,
        people=people,
        partials=partials,
        scores=scores,
        judgements=silence.judgements,
        hits=hits,
        reach=silence.reach,
        ceilings=silence.ceilings,
        population=population,
        prefixes=prefixes,
        drifts=drifts,
        roles=roles,
        samples=samples,
        settings=list(setting_scores(scoring, spec.generator.sweep, passes)),
    )


def _planned(
    frame: Frame,
    cuts: int,
    membership: MembershipSpec,
    people: Mapping[str, ComparedPeople],
    diagnostics: Diagnostics,
) -> int:
    """How many steps are told: of each cut and score, of each recogniser's planted people, and six others."""
    scores = sum(1 if name == CONSENSUS else len(people) for name in membership.scores)
    return cuts + scores + diagnostics.set_test + len(people) * (1 + len(frame.groups)) + 6


def _wanted_samples(
    spec: AuditSpec,
    frame: Frame,
    partials: Mapping[str, Sequence[Partial]],
    headline: Judgement,
    diagnostics: Diagnostics,
) -> dict[str, NDArray[np.int64]]:
    """The ids whose templates are needed: the first ones to count identities and to plant people among, and
    those nearest to the flagged, to say which photo they resemble."""
    first = np.arange(min(spec.samples, POPULATION_SAMPLES if diagnostics.population else PLANTED_AMONG))
    flagged = frame.candidates[headline.flagged()]
    wanted = {}
    for name, levels in partials.items():
        near = [partial.neighbours.sample_id[flagged].ravel() for partial in levels]
        ids = np.unique(np.concatenate([first, *near]))
        wanted[name] = ids[ids >= 0]
    return wanted
