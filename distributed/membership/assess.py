"""What the samples of a run say of its gallery: the core of an audit. Knows neither Ray nor files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from distributed.gallery.enrolled import EnrolledGallery
from distributed.membership.assessment import Assessment, Population, Prefix, SettingScores
from distributed.membership.detectability import reach_of, with_detectability
from distributed.membership.evidence import (
    CONSENSUS,
    EvidenceBuilder,
    PhotoScores,
    Scale,
    combined_score,
    scales_of,
    score_book,
)
from distributed.membership.explaining import Support, explain_away, explain_hits, suspects
from distributed.membership.frame import Frame, calibration_frame, identity_quality, operating_points
from distributed.membership.hits import count_hits
from distributed.membership.judgement import decided, judge
from distributed.reduce.neighbours import Neighbours, Partial
from distributed.reduce.reducer import SampleTemplates
from distributed.statistics.drift import Drift, drift
from distributed.statistics.people.operating_point import OperatingPoint
from distributed.statistics.people.population import (
    densest_clusters,
    identities_of,
    match_counts,
    match_rates,
)
from distributed.statistics.people.transitivity import transitivity
from schemas.errors import InvalidSamplesError
from schemas.run.tables import Role, Verdict
from schemas.spec.audit import AuditSpec
from schemas.spec.sweep import Sweep

POPULATION_SAMPLES = 10_000
"""Of these the identities are counted: pairs grow with the square."""
LEAST_MATCH_RATE = 0.5
"""Of two photos of one person, at the threshold by which identities are counted."""


@dataclass(frozen=True)
class Diagnostics:
    """What an assessment says beside its verdicts. None of it changes one, and it takes most of the time.

    prefixes: rising shares of the samples, for which scores and flags are reported too. tails: extrapolated
    p-values. set_test: one p-value of all candidates together. population: how many people are made.
    """

    prefixes: tuple[float, ...] = (0.01, 0.03, 0.1, 0.3)
    tails: bool = True
    set_test: bool = True
    population: bool = True

    def cuts(self, samples: int) -> tuple[int, ...]:
        """Rising sample ids, the last one that of all samples."""
        return tuple(sorted({max(1, int(np.ceil(share * samples))) for share in (*self.prefixes, 1.0)}))


ALL = Diagnostics()
VERDICTS_ALONE = Diagnostics((), tails=False, set_test=False, population=False)


class SamplePasses(Protocol):
    """The passes over the samples that an assessment asks for, wherever they are carried out.

    thresholds: recogniser -> similarity of a hit; levels: numbers of photos, see `Frame.levels`.
    """

    def search(
        self,
        thresholds: Mapping[str, float],
        levels: tuple[int, ...],
        cuts: tuple[int, ...],
        reference: AuditSpec | None = None,
    ) -> dict[str, list[Partial]]:
        """Recogniser -> what is found below each cut. reference: another run, whose samples are searched."""

    def search_setting(
        self, thresholds: Mapping[str, float], levels: tuple[int, ...], settings: int, setting: int
    ) -> dict[str, Partial]:
        """Recogniser -> what is found among the samples of one of so many settings."""

    def gather(self, ids: Mapping[str, NDArray[np.int64]]) -> dict[str, SampleTemplates]:
        """Recogniser -> the templates of some samples; ids: rising."""

    def support(
        self, people: NDArray[np.int64], thresholds: Mapping[str, float], levels: tuple[int, ...]
    ) -> dict[str, Partial]:
        """Recogniser -> what is found for the photos of `people` among the samples that support each."""


def assess(
    spec: AuditSpec,
    gallery: EnrolledGallery,
    passes: SamplePasses,
    attributes: Mapping[str, Mapping[str, str]],
    reference: AuditSpec | None = None,
    diagnostics: Diagnostics = ALL,
) -> Assessment:
    """All passes over the samples, and what they show: scores, p-values, verdicts.

    attributes: column -> identity -> value. reference: the run of a reference generator, for `calibrated`.
    Raises InvalidSamplesError if no sample has a template, and what the passes raise.
    """
    membership, cuts = spec.membership, diagnostics.cuts(spec.samples)
    frame = calibration_frame(gallery, membership, attributes)
    points = operating_points(gallery, membership.hit_fmr)
    thresholds, partials_by_cut = _searched(spec, frame, points, cuts, passes)
    partials = {name: prefixes[-1] for name, prefixes in partials_by_cut.items()}
    references = _reference_partials(spec, frame, thresholds, passes, reference)
    counted = min(spec.samples, POPULATION_SAMPLES) if diagnostics.population else 0
    samples = passes.gather(_wanted_samples(partials_by_cut, counted))
    builders = {
        name: EvidenceBuilder.of(gallery, name, membership, references.get(name)) for name in partials
    }
    scores_by_name, prefixes = _prefix_scores(spec, frame, builders, partials_by_cut, samples, cuts)
    before = judge(frame, scores_by_name, membership, tails=diagnostics.tails, set_test=diagnostics.set_test)
    hits = [count_hits(frame, name, partial, membership.fdr) for name, partial in partials.items()]
    judgements, people = before, suspects(frame, before, hits)
    if len(people):
        support = _support(people, thresholds, frame, partials, samples, builders, passes)
        judgements = explain_away(frame, before, support, membership, _scales(frame, scores_by_name, spec))
        hits = [
            explain_hits(frame, counts, partials[counts.recognizer], support, membership.fdr)
            for counts in hits
        ]
    reach = reach_of(frame, partials)
    return Assessment(
        frame=frame,
        points=points,
        thresholds=thresholds,
        partials=partials,
        photo_scores=scores_by_name,
        before=before,
        judgements=with_detectability(frame, judgements, reach, membership),
        hits=hits,
        reach=reach,
        population=_population(gallery, samples) if diagnostics.population else None,
        prefixes=prefixes,
        drifts=_drifts(frame),
        settings=_settings(spec, frame, builders, thresholds, passes),
    )


def _searched(
    spec: AuditSpec,
    frame: Frame,
    points: Mapping[str, OperatingPoint],
    cuts: tuple[int, ...],
    passes: SamplePasses,
) -> tuple[dict[str, float], dict[str, list[Partial]]]:
    """The thresholds of a hit, and what is found below each cut; twice if they come from the samples."""
    thresholds = {name: point.threshold for name, point in points.items()}
    partials_by_cut = passes.search(thresholds, frame.levels, cuts)
    if not all(prefixes[-1].samples for prefixes in partials_by_cut.values()):
        raise InvalidSamplesError(
            "no sample has a template, so nobody can be scored: see `outcome` in the shards, and check "
            "faces.detector, or give faces.landmarks"
        )
    if spec.membership.hit == "median":
        nearest = {
            name: prefixes[-1].neighbours.similarity[:, 0] for name, prefixes in partials_by_cut.items()
        }
        thresholds = {name: float(np.median(values)) for name, values in nearest.items()}
        partials_by_cut = passes.search(thresholds, frame.levels, cuts)
    return thresholds, partials_by_cut


def _reference_partials(
    spec: AuditSpec,
    frame: Frame,
    thresholds: Mapping[str, float],
    passes: SamplePasses,
    reference: AuditSpec | None,
) -> dict[str, Partial]:
    if reference is None or "calibrated" not in spec.membership.scores:
        return {}
    partials_by_cut = passes.search(thresholds, frame.levels, (spec.samples,), reference)
    return {name: prefixes[-1] for name, prefixes in partials_by_cut.items()}


def _wanted_samples(
    partials_by_cut: Mapping[str, Sequence[Partial]], first_samples: int
) -> dict[str, NDArray[np.int64]]:
    """The ids whose templates are needed: nearest samples, and the first ones to count identities."""
    first = np.arange(first_samples)
    return {
        name: np.unique(np.concatenate([first, *(_neighbour_ids(prefix.neighbours) for prefix in prefixes)]))
        for name, prefixes in partials_by_cut.items()
    }


def _neighbour_ids(neighbours: Neighbours) -> NDArray[np.int64]:
    ids: NDArray[np.int64] = np.unique(neighbours.sample_id)
    return ids[ids >= 0]


def _prefix_scores(
    spec: AuditSpec,
    frame: Frame,
    builders: Mapping[str, EvidenceBuilder],
    partials_by_cut: Mapping[str, Sequence[Partial]],
    samples: Mapping[str, SampleTemplates],
    cuts: tuple[int, ...],
) -> tuple[PhotoScores, list[Prefix]]:
    """The scores of photos by all samples, and each prefix's scores and flags."""
    scores_by_name: PhotoScores = {}
    prefixes: list[Prefix] = []
    for place, cut in enumerate(cuts):
        if not all(partials[place].samples for partials in partials_by_cut.values()):
            continue
        evidences = {
            name: builder.evidence(partials_by_cut[name][place], samples[name])
            for name, builder in builders.items()
        }
        scores_by_name = score_book(evidences, spec.membership.scores, None, frame)
        for (recognizer, name), values in scores_by_name.items():
            calibrated, decisions = decided(frame, values, spec.membership)
            flagged = sum(decision.verdict is Verdict.LEAKED for decision in decisions)
            prefixes.append(Prefix(cut, recognizer, name, calibrated.score, flagged))
    return scores_by_name, prefixes


def _settings(
    spec: AuditSpec,
    frame: Frame,
    builders: Mapping[str, EvidenceBuilder],
    thresholds: Mapping[str, float],
    passes: SamplePasses,
) -> list[SettingScores]:
    """Each setting of a sweep, scored by its own samples; none without a sweep."""
    count = len(Sweep(spec.generator.sweep).settings)
    scores: list[SettingScores] = []
    for setting in range(count if count > 1 else 0):
        partials = passes.search_setting(thresholds, frame.levels, count, setting)
        scores += _of_setting(spec, frame, builders, setting, partials, passes)
    return scores


def _of_setting(
    spec: AuditSpec,
    frame: Frame,
    builders: Mapping[str, EvidenceBuilder],
    setting: int,
    partials: Mapping[str, Partial],
    passes: SamplePasses,
) -> Iterator[SettingScores]:
    if not all(partial.samples for partial in partials.values()):
        return
    near = passes.gather({name: _neighbour_ids(partial.neighbours) for name, partial in partials.items()})
    evidences = {name: builders[name].evidence(partial, near[name]) for name, partial in partials.items()}
    samples = min(partial.samples for partial in partials.values())
    for (recognizer, name), values in score_book(evidences, spec.membership.scores, None, frame).items():
        yield SettingScores(setting, samples, recognizer, name, *decided(frame, values, spec.membership))


def _scales(frame: Frame, scores_by_name: PhotoScores, spec: AuditSpec) -> dict[str, Scale] | None:
    if CONSENSUS not in spec.membership.scores:
        return None
    return scales_of(frame, scores_by_name, combined_score(spec.membership.scores))


def _support(
    people: NDArray[np.int64],
    thresholds: Mapping[str, float],
    frame: Frame,
    nearest: Mapping[str, Partial],
    samples: Mapping[str, SampleTemplates],
    builders: Mapping[str, EvidenceBuilder],
    passes: SamplePasses,
) -> Support:
    partials = passes.support(people, thresholds, frame.levels)
    supporting = passes.gather(
        {name: _neighbour_ids(partial.neighbours) for name, partial in partials.items()}
    )
    photos = np.flatnonzero(np.isin(frame.gallery.identity, people)).astype(np.int64)
    evidences = {
        name: builders[name].evidence(partial, supporting[name], photos) for name, partial in partials.items()
    }
    return Support(people, photos, partials, evidences, nearest, samples)


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
