"""What the samples of a run say of its gallery: the core of an audit. Knows neither Ray nor files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from distributed.gallery.enrolled import EnrolledGallery
from distributed.membership.adjusted import Properties, adjusted
from distributed.membership.assessment import Assessment, Population, Prefix, SettingScores
from distributed.membership.comparison import compared_people, operating_points, twins_of
from distributed.membership.correction import correction_of
from distributed.membership.detectability import Reach, reach_of, with_detectability
from distributed.membership.evidence import EvidenceBuilder, PersonScores, all_scores
from distributed.membership.frame import Frame, calibrate, calibration_frame, identity_quality
from distributed.membership.hits import count_hits
from distributed.membership.judgement import Judgement, decided, judge
from distributed.membership.lookalikes import with_lookalikes
from distributed.membership.planted.ceiling import ceiling_of
from distributed.membership.planted.clearance import with_clearance
from distributed.membership.planted.groups import Planting, Plantings
from distributed.membership.scores import Evidence
from distributed.membership.verdicts import flagged
from distributed.reduce.margins import Twins
from distributed.reduce.partial import Partial
from distributed.reduce.queries import ComparedPeople
from distributed.reduce.reducer import SampleTemplates
from distributed.statistics.drift import Drift, drift
from distributed.statistics.people.population import (
    densest_clusters,
    identities_of,
    match_counts,
    match_rates,
)
from distributed.statistics.people.transitivity import transitivity
from distributed.statistics.similarity import Floats
from schemas.errors import InvalidSamplesError
from schemas.run.tables import Role
from schemas.spec.audit import AuditSpec
from schemas.spec.generators.base import Sweep

POPULATION_SAMPLES = 10_000
"""Of these the identities are counted: pairs grow with the square."""
PLANTED_AMONG = 1000
"""Of these the planted samples get what they share with samples, where identities are not counted."""
LEAST_MATCH_RATE = 0.5
"""Of two photos of one person, at the threshold by which identities are counted."""

Partials = Mapping[str, Sequence[Sequence[Partial]]]
"""Recogniser -> level -> what is found below each cut."""


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


class SamplePasses(Protocol):
    """The passes over the samples that an assessment asks for, wherever they are carried out."""

    def centres(self) -> dict[str, Floats]:
        """Recogniser -> what samples and people are taken relative to, float64 (d,)."""

    def search(
        self,
        people: Mapping[str, ComparedPeople],
        twins: Twins,
        cuts: tuple[int, ...],
        reference: AuditSpec | None = None,
    ) -> dict[str, list[list[Partial]]]:
        """See `Partials`. reference: another run, whose samples are searched."""

    def search_setting(
        self, people: Mapping[str, ComparedPeople], twins: Twins, settings: int, setting: int
    ) -> dict[str, list[list[Partial]]]:
        """See `Partials`: among the samples of one of so many settings, without a cut."""

    def gather(self, ids: Mapping[str, NDArray[np.int64]]) -> dict[str, SampleTemplates]:
        """Recogniser -> the templates of some samples; ids: rising."""


@dataclass(frozen=True)
class _Comparison:
    """What does not change from search to search."""

    spec: AuditSpec
    frame: Frame
    people: Mapping[str, ComparedPeople]
    twins: Twins
    builders: Mapping[str, EvidenceBuilder]
    properties: Properties

    def scores(self, partials: Mapping[str, Sequence[Partial]]) -> PersonScores:
        """Adjusted, if the spec says so. partials: recogniser -> of each level."""
        raw = self._raw_scores(partials)
        return adjusted(raw, self.properties.adjustments(raw, self.spec.membership))

    def _raw_scores(self, partials: Mapping[str, Sequence[Partial]]) -> PersonScores:
        return all_scores(self.evidences(partials), self.spec.membership.scores, self.frame)

    def evidences(self, partials: Mapping[str, Sequence[Partial]]) -> dict[str, list[Evidence]]:
        return {name: builder.evidence(partials[name]) for name, builder in self.builders.items()}

    def plantings(
        self,
        headline: Judgement,
        partials: Mapping[str, Sequence[Partial]],
        samples: Mapping[str, SampleTemplates],
    ) -> dict[str, Plantings]:
        """By recogniser: people of each group's cohort, planted among the samples."""
        flagged = headline.flagged()
        return {
            name: Planting(
                self.frame, name, people, self.twins, partials[name], samples[name], flagged
            ).groups(self.spec.membership)
            for name, people in self.people.items()
        }

    def reach(
        self,
        judgements: Sequence[Judgement],
        partials: Mapping[str, Sequence[Partial]],
        plantings: Mapping[str, Plantings],
    ) -> Reach:
        thresholds = {name: people.thresholds for name, people in self.people.items()}
        raw = self._raw_scores(partials)
        adjustments = self.properties.adjustments(raw, self.spec.membership)
        return reach_of(self.frame, judgements, self.evidences(partials), thresholds, plantings, adjustments)


def assess(
    spec: AuditSpec,
    gallery: EnrolledGallery,
    passes: SamplePasses,
    attributes: Mapping[str, Mapping[str, str]],
    reference: AuditSpec | None = None,
    diagnostics: Diagnostics = ALL,
    twins: Sequence[tuple[str, str]] = (),
) -> Assessment:
    """All passes over the samples, and what they show: scores, p-values, verdicts.

    attributes: column -> identity -> value. reference: the run of a reference generator, for `calibrated`.
    twins: names of people who may be one person. Raises InvalidSamplesError if no sample has a template, and
    what the passes raise.
    """
    membership, cuts = spec.membership, diagnostics.cuts(spec.samples)
    frame, centres = calibration_frame(gallery, membership, attributes), passes.centres()
    people, known_twins = compared_people(frame, centres, membership), twins_of(gallery, twins)
    for name in membership.scores:
        correction_of(frame, name, membership)
    people, by_cut = _searched(spec, people, known_twins, cuts, passes)
    partials = {name: [prefixes[-1] for prefixes in levels] for name, levels in by_cut.items()}
    references = _reference_partials(spec, people, known_twins, passes, reference)
    builders = {
        name: EvidenceBuilder.of(frame, compared, membership, references.get(name, ()))
        for name, compared in people.items()
    }
    properties = Properties.of(frame, people, attributes)
    comparison = _Comparison(spec, frame, people, known_twins, builders, properties)
    scores, prefixes = _prefix_scores(comparison, by_cut, cuts)
    judgements = judge(frame, scores, membership, tails=diagnostics.tails, set_test=diagnostics.set_test)
    judgements = [with_lookalikes(frame, judgement, partials) for judgement in judgements]
    samples = passes.gather(_wanted_samples(spec, frame, partials, judgements[0], diagnostics))
    plantings = comparison.plantings(judgements[0], partials, samples)
    reach = comparison.reach(judgements, partials, plantings)
    judgements = with_clearance(frame, judgements, reach, membership)
    return Assessment(
        frame=frame,
        points=operating_points(gallery, membership.hit_fmr),
        people=people,
        partials=partials,
        scores=scores,
        judgements=with_detectability(frame, judgements, reach, membership),
        hits=[
            count_hits(frame, name, levels, membership.fdr, judgements[0].flagged())
            for name, levels in partials.items()
        ],
        reach=reach,
        ceilings={
            name: ceiling_of(frame, name, partials[name], *planting) for name, planting in plantings.items()
        },
        population=_population(gallery, samples) if diagnostics.population else None,
        prefixes=prefixes,
        drifts=_drifts(frame),
        roles=properties.role_test(frame) if diagnostics.roles else None,
        samples=samples,
        settings=list(_settings(comparison, passes)),
    )


def _searched(
    spec: AuditSpec,
    people: dict[str, ComparedPeople],
    twins: Twins,
    cuts: tuple[int, ...],
    passes: SamplePasses,
) -> tuple[dict[str, ComparedPeople], dict[str, list[list[Partial]]]]:
    """What is found below each cut; twice if the thresholds of a hit come from the samples."""
    by_cut = passes.search(people, twins, cuts)
    if not all(prefixes[-1].samples for levels in by_cut.values() for prefixes in levels):
        raise InvalidSamplesError(
            "no sample has a template, so nobody can be scored: see `outcome` in the shards, and check "
            "faces.detector, or give faces.landmarks"
        )
    if spec.membership.hit == "median" and "hit_rate" in spec.membership.scores:
        people = {
            name: replace(compared, thresholds=[_median(prefixes[-1]) for prefixes in by_cut[name]])
            for name, compared in people.items()
        }
        by_cut = passes.search(people, twins, cuts)
    return people, by_cut


def _median(partial: Partial) -> float:
    return float(np.median(partial.neighbours.similarity[:, 0]))


def _reference_partials(
    spec: AuditSpec,
    people: Mapping[str, ComparedPeople],
    twins: Twins,
    passes: SamplePasses,
    reference: AuditSpec | None,
) -> dict[str, list[Partial]]:
    if reference is None or "calibrated" not in spec.membership.scores:
        return {}
    by_cut = passes.search(people, twins, (spec.samples,), reference)
    return {name: [prefixes[-1] for prefixes in levels] for name, levels in by_cut.items()}


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


def _prefix_scores(
    comparison: _Comparison, by_cut: Partials, cuts: tuple[int, ...]
) -> tuple[PersonScores, list[Prefix]]:
    """The scores of people by all samples, and each prefix's scores and flags."""
    frame, membership, scores = comparison.frame, comparison.spec.membership, PersonScores()
    prefixes: list[Prefix] = []
    for place, cut in enumerate(cuts):
        partials = {name: [level[place] for level in levels] for name, levels in by_cut.items()}
        if not all(levels[0].samples for levels in partials.values()):
            continue
        scores = comparison.scores(partials)
        for (recognizer, name), values in scores.items():
            calibrated = calibrate(frame, values)
            correction = correction_of(frame, name, membership)
            flags = flagged(calibrated.p_value, calibrated.floor, fdr=membership.fdr, correction=correction)
            prefixes.append(Prefix(cut, recognizer, name, calibrated.score, int(flags.sum())))
    return scores, prefixes


def _settings(comparison: _Comparison, passes: SamplePasses) -> Iterator[SettingScores]:
    """Each setting of a sweep, scored by its own samples; none without a sweep."""
    count = len(Sweep(comparison.spec.generator.sweep).settings)
    for setting in range(count if count > 1 else 0):
        by_cut = passes.search_setting(comparison.people, comparison.twins, count, setting)
        yield from _of_setting(
            comparison, setting, {name: [level[0] for level in levels] for name, levels in by_cut.items()}
        )


def _of_setting(
    comparison: _Comparison, setting: int, partials: Mapping[str, Sequence[Partial]]
) -> Iterator[SettingScores]:
    membership = comparison.spec.membership
    samples = min(levels[0].samples for levels in partials.values())
    if not samples:
        return
    for (recognizer, name), values in comparison.scores(partials).items():
        correction = correction_of(comparison.frame, name, membership)
        calibrated, decisions = decided(comparison.frame, values, membership, correction)
        yield SettingScores(setting, samples, recognizer, name, calibrated, decisions)


def _population(gallery: EnrolledGallery, samples: Mapping[str, SampleTemplates]) -> Population | None:
    """By the first recogniser; None if fewer than two cohort identities have two photos, or if it does not
    tell the cohort's people apart, so that nobody can be counted by it."""
    recognizer = next(iter(samples))
    cohort = np.isin(gallery.identity, gallery.members_of(Role.COHORT))
    photos = np.bincount(gallery.identity[cohort])
    first = samples[recognizer].sample_id < POPULATION_SAMPLES
    templates = samples[recognizer].templates[first]
    if (photos >= 2).sum() < 2 or len(templates) < 4:
        return None
    rates = match_rates(gallery.templates[recognizer][cohort], gallery.identity[cohort])
    if rates.tmr < LEAST_MATCH_RATE:
        return None
    counts = match_counts(templates, rates.threshold)
    crowds = densest_clusters(templates, samples[recognizer].sample_id[first], rates.threshold)
    transitive = transitivity(templates, counts, rates)
    return Population(recognizer, identities_of(counts, rates), transitive, crowds)


def _drifts(frame: Frame) -> list[Drift]:
    gallery = frame.gallery
    cohort = gallery.members_of(Role.COHORT)
    columns = {
        "photos per identity": gallery.photos_per_identity().astype(np.float64),
        "detection score": identity_quality(gallery),
    }
    comparisons = [drift(name, values[frame.candidates], values[cohort]) for name, values in columns.items()]
    return [comparison for comparison in comparisons if comparison is not None]
