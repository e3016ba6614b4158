"""From merged partial results to scores, p-values and verdicts of every identity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from distributed.gallery.enrolled import EnrolledGallery
from distributed.membership.cohort_norms import CohortPeople, cohort_people, norm_inputs
from distributed.membership.density import reference_log_density
from distributed.membership.scores import NORMS, Evidence, OperatingPoint, operating_threshold, photo_scores
from distributed.membership.verdicts import Decision, borrowed, decide
from distributed.reduce.neighbours import Neighbours, Partial
from distributed.stages.passes import SampleTemplates
from distributed.statistics.calibration import conformal_p_values
from distributed.statistics.explaining import explainer, supported
from distributed.statistics.matching import (
    EVERYBODY,
    Group,
    calibration_groups,
    identity_means,
    merged_strata,
    quality_strata,
)
from distributed.statistics.over_representation import over_representation, over_represented
from distributed.statistics.set_membership import set_p_value
from distributed.statistics.tail import TailPValues, tail_p_values
from schemas.run.tables import Role, Verdict
from schemas.spec.audit import QUALITY, MembershipSpec

CONSENSUS = "consensus"
EVERY_RECOGNIZER = "all"
SEED = 0
"""Of bootstraps and permutations."""

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Book = dict[tuple[str, str], Floats]
"""(recogniser, score name) -> the scores of photos, (g,)."""


@dataclass(frozen=True)
class Frame:
    """The gallery and how it is calibrated. candidates: int64 (m,), the indices of all candidates, rising.
    group_of: int64 (m,), each candidate's group."""

    gallery: EnrolledGallery
    groups: Sequence[Group]
    candidates: Integers
    group_of: Integers

    @property
    def levels(self) -> tuple[int, ...]:
        return tuple(sorted({group.photos for group in self.groups}))

    def level_of(self, group: Group) -> int:
        return self.levels.index(group.photos)


def calibration_frame(
    gallery: EnrolledGallery, membership: MembershipSpec, attributes: Mapping[str, Mapping[str, str]]
) -> Frame:
    """Strata, then groups of equal numbers of photos. attributes: column -> identity -> value."""
    in_cohort = np.array([role is Role.COHORT for role in gallery.roles])
    strata = [EVERYBODY] * len(gallery.names)
    if membership.strata:
        columns = [_stratum_column(gallery, in_cohort, name, attributes) for name in membership.strata]
        named = [", ".join(values) for values in zip(*columns, strict=True)]
        strata = merged_strata(named, in_cohort, membership.least_stratum)
    wanted = None if membership.photos == "auto" else membership.photos
    groups = calibration_groups(gallery.photos_per_identity(), in_cohort, strata, wanted)
    candidates = np.flatnonzero(~in_cohort).astype(np.int64)
    group_of = np.full(len(gallery.names), -1, dtype=np.int64)
    for index, group in enumerate(groups):
        group_of[group.candidates] = index
    return Frame(gallery, groups, candidates, group_of[candidates])


def _stratum_column(
    gallery: EnrolledGallery,
    in_cohort: NDArray[np.bool_],
    name: str,
    attributes: Mapping[str, Mapping[str, str]],
) -> list[str]:
    if name == QUALITY:
        values = quality_strata(identity_quality(gallery), in_cohort)
    else:
        values = [attributes[name].get(one, "unknown") for one in gallery.names]
    return [f"{name}={value}" for value in values]


def identity_quality(gallery: EnrolledGallery) -> Floats:
    """The mean detection score of each identity's photos, float64 (i,); NaN where nothing was detected."""
    counts = gallery.photos_per_identity()
    means: Floats = (
        np.bincount(gallery.identity, weights=gallery.detection_score, minlength=len(counts)) / counts
    )
    return means


def operating_points(gallery: EnrolledGallery, fmr: float) -> dict[str, OperatingPoint]:
    """Each recogniser's threshold of a hit, from the cohort's own photos."""
    cohort = np.isin(gallery.identity, gallery.members_of(Role.COHORT))
    return {
        name: operating_threshold(templates[cohort], gallery.identity[cohort], fmr)
        for name, templates in gallery.templates.items()
    }


@dataclass(frozen=True)
class EvidenceMaker:
    """Makes the evidence of one recogniser for any merged search of the whole gallery or a part of it."""

    gallery: EnrolledGallery
    recognizer: str
    membership: MembershipSpec
    cohort: CohortPeople
    reference_density: Floats | None
    reference: Partial | None

    @classmethod
    def of(
        cls, gallery: EnrolledGallery, recognizer: str, membership: MembershipSpec, reference: Partial | None
    ) -> EvidenceMaker:
        templates, cohort = gallery.templates[recognizer], gallery.members_of(Role.COHORT)
        density = None
        if "density_ratio" in membership.scores:
            first = (gallery.rank == 0) & np.isin(gallery.identity, cohort)
            density = reference_log_density(
                templates, gallery.identity, templates[first], gallery.identity[first], membership.topk
            )
        people = cohort_people(templates, gallery.identity, cohort)
        return cls(gallery, recognizer, membership, people, density, reference)

    def evidence(
        self, partial: Partial, samples: SampleTemplates, photos: Integers | None = None
    ) -> Evidence:
        """photos: the rows of the gallery that the partial is about, all if not given."""
        rows = np.arange(len(self.gallery.identity)) if photos is None else photos
        templates = self.gallery.templates[self.recognizer][rows]
        norms = None
        if NORMS & set(self.membership.scores):
            norms = norm_inputs(
                templates,
                self.gallery.identity[rows],
                partial.neighbours,
                samples.sample_id,
                samples.templates,
                self.cohort,
            )
        density = None if self.reference_density is None else self.reference_density[rows]
        reference = None if self.reference is None else _rows_of(self.reference, rows)
        return Evidence(partial, self.membership.topk, templates.shape[1], norms, density, reference)


def _rows_of(partial: Partial, rows: Integers) -> Partial:
    near = Neighbours(partial.neighbours.similarity[rows], partial.neighbours.sample_id[rows])
    return replace(partial, neighbours=near, photo_hits=partial.photo_hits[rows])


@dataclass(frozen=True)
class Scale:
    """Mean and standard deviation of a photo score over the cohort's photos."""

    mean: float
    deviation: float


def combined_score(names: Sequence[str]) -> str:
    """The score that `consensus` combines: the first other one."""
    return next(name for name in names if name != CONSENSUS)


def scales_of(frame: Frame, book: Book, name: str) -> dict[str, Scale]:
    """Recogniser -> the scale of a score."""
    cohort = np.isin(frame.gallery.identity, frame.gallery.members_of(Role.COHORT))
    found = {}
    for (recognizer, score_name), values in book.items():
        if score_name == name:
            deviation = float(values[cohort].std())
            found[recognizer] = Scale(float(values[cohort].mean()), deviation or 1.0)
    return found


def score_book(
    evidences: Mapping[str, Evidence], names: Sequence[str], scales: Mapping[str, Scale] | None, frame: Frame
) -> Book:
    """All recognisers × scores of photos; `consensus`, if wanted, last.

    consensus: the mean over recognisers of the first other score, each in units of its cohort's spread, so
    that no recogniser's range outweighs another's. What leaks may show in one recogniser and not in another:
    Tinsley et al. 2021, This Face Does Not Exist... But It Might Be Yours, WACV.
    """
    plain = [name for name in names if name != CONSENSUS]
    book: Book = {}
    for recognizer, evidence in evidences.items():
        for name, values in photo_scores(evidence, plain).items():
            book[recognizer, name] = values
    if CONSENSUS in names:
        base = combined_score(names)
        scales = scales_of(frame, book, base) if scales is None else scales
        units = [(book[one, base] - scale.mean) / scale.deviation for one, scale in scales.items()]
        book[EVERY_RECOGNIZER, CONSENSUS] = np.mean(units, axis=0)
    return book


@dataclass(frozen=True)
class Calibrated:
    """Scores and conformal p-values of m candidates, and the scores of each group's cohort."""

    score: Floats
    p_value: Floats
    floor: Floats
    cohort: Sequence[Floats]


def calibrate(frame: Frame, photo_score: Floats) -> Calibrated:
    """Compare each candidate with the cohort of his group, at the group's number of photos."""
    score, p_value, floor = (np.empty(len(frame.candidates)) for _ in range(3))
    cohorts = []
    for index, group in enumerate(frame.groups):
        means = _means(frame, photo_score, group.photos)
        mine = frame.group_of == index
        score[mine] = means[frame.candidates[mine]]
        cohorts.append(means[group.cohort])
        p_value[mine] = conformal_p_values(score[mine], cohorts[-1])
        floor[mine] = 1 / (len(group.cohort) + 1)
    return Calibrated(score, p_value, floor, cohorts)


def _means(frame: Frame, photo_score: Floats, photos: int) -> Floats:
    gallery = frame.gallery
    return identity_means(photo_score, gallery.identity, gallery.rank, photos, len(gallery.names))


@dataclass(frozen=True)
class Judgement:
    """One recogniser × score, all arrays and lists in the order of the frame's candidates.

    tail: extrapolated p-values. explained_p_value: NaN for candidates whose evidence needed no second look.
    resembles: index of the identity that explains the evidence, or −1. disagreement: the spread of
    `consensus` over recognisers, NaN for other scores. set_p_value: of all candidates together.
    """

    recognizer: str
    score_name: str
    calibrated: Calibrated
    tail: TailPValues
    decisions: Sequence[Decision]
    explained_p_value: Floats
    resembles: Integers
    disagreement: Floats
    set_p_value: float

    def verdicts(self) -> list[Verdict]:
        return [one.verdict for one in self.decisions]

    def flagged(self) -> NDArray[np.bool_]:
        return np.array([one.verdict is Verdict.LEAKED for one in self.decisions], dtype=np.bool_)


def judge(frame: Frame, book: Book, membership: MembershipSpec) -> list[Judgement]:
    """All recognisers × scores, in the spec's order. Each is a family of its own for the FDR."""
    found = []
    for (recognizer, name), values in book.items():
        one = calibrate(frame, values)
        decisions = decide(one.p_value, one.floor, fdr=membership.fdr, correction=membership.correction)
        m = len(frame.candidates)
        spread = _disagreement(frame, book, membership) if name == CONSENSUS else np.full(m, np.nan)
        found.append(
            Judgement(
                recognizer,
                name,
                one,
                _tails(frame, one),
                decisions,
                np.full(m, np.nan),
                np.full(m, -1, dtype=np.int64),
                spread,
                _set_p_value(frame, one),
            )
        )
    return found


def _tails(frame: Frame, one: Calibrated) -> TailPValues:
    columns = [np.full(len(one.score), np.nan) for _ in range(3)]
    for index, cohort in enumerate(one.cohort):
        mine = np.flatnonzero(frame.group_of == index)
        found = tail_p_values(one.score[mine], cohort, seed=SEED)
        for column, values in zip(columns, (found.p_value, found.low, found.high), strict=True):
            column[mine] = values
    return TailPValues(*columns)


def _set_p_value(frame: Frame, one: Calibrated) -> float:
    sides = [one.score[frame.group_of == index] for index in range(len(frame.groups))]
    return set_p_value(sides, one.cohort, seed=SEED)


def _disagreement(frame: Frame, book: Book, membership: MembershipSpec) -> Floats:
    base = combined_score(membership.scores)
    units = [
        (calibrate(frame, book[recognizer, base]).score - scale.mean) / scale.deviation
        for recognizer, scale in scales_of(frame, book, base).items()
    ]
    return np.asarray(np.std(units, axis=0), dtype=np.float64)


@dataclass(frozen=True)
class HitCounts:
    """How often each candidate is hit, against the cohort; arrays in the order of the frame's candidates."""

    recognizer: str
    hits: Integers
    per_million: Floats
    low: Floats
    high: Floats
    expected: Floats
    ratio: Floats
    p_value: Floats
    flagged: NDArray[np.bool_]
    resembles: Integers


def count_hits(frame: Frame, recognizer: str, partial: Partial, fdr: float) -> HitCounts:
    """Over-representation of every candidate, at the photos of his group."""
    m = len(frame.candidates)
    hits = np.zeros(m, dtype=np.int64)
    columns = per_million, low, high, expected, ratio, p_value = np.empty((6, m))
    for index, group in enumerate(frame.groups):
        counts = partial.identity_hits[frame.level_of(group)]
        mine = np.flatnonzero(frame.group_of == index)
        hits[mine] = counts[frame.candidates[mine]]
        one = over_representation(hits[mine], partial.samples, counts[group.cohort])
        rate = np.full(len(mine), one.expected_per_million)
        values = (one.per_million, one.low, one.high, rate, one.ratio, one.p_value)
        for column, value in zip(columns, values, strict=True):
            column[mine] = value
    flagged, nobody = over_represented(p_value, fdr), np.full(m, -1, dtype=np.int64)
    return HitCounts(recognizer, hits, per_million, low, high, expected, ratio, p_value, flagged, nobody)


@dataclass(frozen=True)
class Support:
    """A second look at some people, each among the samples that support him.

    people: int64 (f,), indices of identities, rising; photos: int64, their rows in the gallery. partials,
    evidences, samples: by recogniser, of these photos; nearest: by recogniser, of the whole gallery.
    """

    people: Integers
    photos: Integers
    partials: Mapping[str, Partial]
    evidences: Mapping[str, Evidence]
    nearest: Mapping[str, Partial]
    samples: Mapping[str, SampleTemplates]


def suspects(frame: Frame, judgements: Sequence[Judgement], hits: Sequence[HitCounts]) -> Integers:
    """Everybody whom some score flags or who is over-represented, int64, rising."""
    chosen = np.zeros(len(frame.candidates), dtype=np.bool_)
    for judgement in judgements:
        chosen |= judgement.flagged()
    for one in hits:
        chosen |= one.flagged
    return frame.candidates[chosen]


def explain_away(
    frame: Frame,
    judgements: Sequence[Judgement],
    support: Support,
    membership: MembershipSpec,
    scales: Mapping[str, Scale] | None,
) -> list[Judgement]:
    """Decide again, each suspect on the samples that fit him best. See `docs/method.md`.

    A p-value only grows by it, so it stays valid; nobody is flagged who was not before.
    """
    book = score_book(support.evidences, membership.scores, scales, frame)
    explained_by = {name: _explainers(frame, support, name) for name in support.evidences}
    explained_by[EVERY_RECOGNIZER] = explained_by[next(iter(support.evidences))]
    return [
        _explain_one(
            frame,
            one,
            support,
            book[one.recognizer, one.score_name],
            explained_by[one.recognizer],
            membership,
        )
        for one in judgements
    ]


def _explain_one(
    frame: Frame,
    judgement: Judgement,
    support: Support,
    photo_score: Floats,
    explainers: Mapping[int, int],
    membership: MembershipSpec,
) -> Judgement:
    one = judgement.calibrated
    explained = np.full(len(one.p_value), np.nan)
    for index, group in enumerate(frame.groups):
        mine = np.flatnonzero((frame.group_of == index) & np.isin(frame.candidates, support.people))
        gallery = frame.gallery
        rows = support.photos
        means = identity_means(
            photo_score, gallery.identity[rows], gallery.rank[rows], group.photos, len(gallery.names)
        )
        again = conformal_p_values(means[frame.candidates[mine]], one.cohort[index])
        explained[mine] = np.maximum(again, one.p_value[mine])
    p = np.where(np.isnan(explained), one.p_value, explained)
    decisions = decide(p, one.floor, fdr=membership.fdr, correction=membership.correction)
    resembles = np.full(len(p), -1, dtype=np.int64)
    before = judgement.flagged()
    for place, decision in enumerate(decisions):
        other = explainers.get(int(frame.candidates[place]))
        vanished = p[place] > one.p_value[place] and other is not None
        if before[place] and decision.verdict is not Verdict.LEAKED and vanished:
            assert other is not None
            resembles[place] = other
            decisions[place] = borrowed(decision, frame.gallery.names[other])
    return replace(judgement, decisions=decisions, explained_p_value=explained, resembles=resembles)


def _explainers(frame: Frame, support: Support, recognizer: str) -> dict[int, int]:
    """Suspect -> whom most of his nearest samples support instead, if anybody."""
    gallery, samples = frame.gallery, support.samples[recognizer]
    photos = gallery.templates[recognizer][support.photos]
    owner = np.searchsorted(support.people, gallery.identity[support.photos])
    found = {}
    for column, person in enumerate(support.people):
        ids = support.nearest[recognizer].neighbours.sample_id[gallery.identity == person]
        rows = np.searchsorted(samples.sample_id, np.unique(ids[ids >= 0]))
        other = explainer(supported(samples.templates[rows], photos, owner), column)
        if other is not None:
            found[int(person)] = int(support.people[other])
    return found


def explain_hits(frame: Frame, counts: HitCounts, before: Partial, support: Support, fdr: float) -> HitCounts:
    """Test over-representation again, each suspect by the hits of the samples that support him."""
    merged = before.identity_hits.copy()
    merged[:, support.people] = support.partials[counts.recognizer].identity_hits
    again = count_hits(frame, counts.recognizer, replace(before, identity_hits=merged), fdr)
    lost = counts.flagged & ~again.flagged
    explainers = _explainers(frame, support, counts.recognizer)
    resembles = np.array(
        [
            explainers.get(int(one), -1) if gone else -1
            for one, gone in zip(frame.candidates, lost, strict=True)
        ],
        dtype=np.int64,
    )
    return replace(counts, flagged=counts.flagged & again.flagged, resembles=resembles)
