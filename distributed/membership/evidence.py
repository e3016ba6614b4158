"""What the samples show of each photo: the input of the scores, and the scores of all photos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from distributed.gallery.enrolled import EnrolledGallery
from distributed.membership.cohort_norms import CohortPeople, cohort_people, norm_inputs
from distributed.membership.density import reference_log_density
from distributed.membership.frame import Floats, Frame, Integers
from distributed.membership.scores import NORMS, Evidence, photo_scores
from distributed.reduce.neighbours import Neighbours, Partial
from distributed.reduce.reducer import SampleTemplates
from schemas.run.tables import Role
from schemas.spec.membership import MembershipSpec

CONSENSUS = "consensus"
EVERY_RECOGNIZER = "all"
PhotoScores = dict[tuple[str, str], Floats]
"""(recogniser, score name) -> the scores of photos, (g,)."""


@dataclass(frozen=True)
class EvidenceBuilder:
    """Builds the evidence of one recogniser for any merged search of the whole gallery or a part of it."""

    gallery: EnrolledGallery
    recognizer: str
    membership: MembershipSpec
    cohort: CohortPeople
    reference_density: Floats | None
    reference: Partial | None

    @classmethod
    def of(
        cls, gallery: EnrolledGallery, recognizer: str, membership: MembershipSpec, reference: Partial | None
    ) -> EvidenceBuilder:
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


def scales_of(frame: Frame, scores_by_name: PhotoScores, name: str) -> dict[str, Scale]:
    """Recogniser -> the scale of a score."""
    cohort = np.isin(frame.gallery.identity, frame.gallery.members_of(Role.COHORT))
    scales = {}
    for (recognizer, score_name), values in scores_by_name.items():
        if score_name == name:
            deviation = float(values[cohort].std())
            scales[recognizer] = Scale(float(values[cohort].mean()), deviation or 1.0)
    return scales


def score_book(
    evidences: Mapping[str, Evidence], names: Sequence[str], scales: Mapping[str, Scale] | None, frame: Frame
) -> PhotoScores:
    """All recognisers × scores of photos; `consensus`, if wanted, last.

    consensus: the mean over recognisers of the first other score, each in units of its cohort's spread, so
    that no recogniser's range outweighs another's. What leaks may show in one recogniser and not in another:
    Tinsley et al. 2021, This Face Does Not Exist... But It Might Be Yours, WACV.
    """
    plain = [name for name in names if name != CONSENSUS]
    scores_by_name: PhotoScores = {}
    for recognizer, evidence in evidences.items():
        for name, values in photo_scores(evidence, plain).items():
            scores_by_name[recognizer, name] = values
    if CONSENSUS in names:
        base = combined_score(names)
        scales = scales_of(frame, scores_by_name, base) if scales is None else scales
        units = [
            (scores_by_name[scaled, base] - scale.mean) / scale.deviation for scaled, scale in scales.items()
        ]
        scores_by_name[EVERY_RECOGNIZER, CONSENSUS] = np.mean(units, axis=0)
    return scores_by_name
