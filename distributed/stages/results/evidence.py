"""What each flag rests on: a near-copy of one photo, or the person across photos."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from distributed.gallery.enrolled import EnrolledGallery
from distributed.membership.assessment import Assessment
from distributed.stages.making.pictures import Pictures
from distributed.stages.results.facts import AuditFacts
from distributed.statistics.people.copies import Closest, closest, largest_mated
from distributed.statistics.people.pictures import (
    LEAST_PAIRS,
    Likeness,
    PhotoPairs,
    nearest_pairs,
    picture_similarity,
)
from distributed.statistics.similarity import Floats, Integers
from schemas.run.results import EvidenceResult
from schemas.run.tables import Role, Verdict

NEAR_COPY, IDENTITY, UNDECIDED = "near-copy", "identity", "undecided"
KINDS = {
    Likeness.SAME_PHOTO: NEAR_COPY,
    Likeness.SAME_PERSON: IDENTITY,
    Likeness.UNDECIDED: UNDECIDED,
}
MOST_PAIRS = 200
"""People of the cohort of whom two photos are compared with each other, or up to twice as many."""


def collect_evidence(facts: AuditFacts) -> list[EvidenceResult]:
    """Evidence of everybody whom the headline flags, in the order of candidates.

    Compared are the photo and the sample that are nearest by templates, as pictures: see `Likeness`.
    near-copy: the same photo. identity: the same person. Without a photo to look at, or with too few people
    of the cohort who have two, templates can only say that it may be a copy, which is undecided: the sample
    is nearer to the photo than the person's photos are to each other, and than 99 % of the cohort's are.
    """
    assessment, judgement = facts.assessment, facts.headline
    flagged = [
        int(candidate)
        for candidate, verdict in zip(assessment.frame.candidates, judgement.verdicts(), strict=True)
        if verdict is Verdict.LEAKED
    ]
    known = assessment.partials
    recognizer = judgement.recognizer if judgement.recognizer in known else next(iter(known))
    gallery = assessment.gallery
    mated = largest_mated(gallery.templates[recognizer], gallery.identity, gallery.members_of(Role.COHORT))
    pictures = None
    if flagged and facts.spec.generator.has_images:
        pictures = _PictureComparison(facts, recognizer)
    results = []
    for person in flagged:
        pair, near = _closest(assessment, recognizer, person, mated)
        picture = None if pictures is None else pictures.compare(pair, near)
        results.append(_result(assessment, person, pair, picture))
    return results


def _closest(assessment: Assessment, recognizer: str, person: int, mated: Floats) -> tuple[Closest, Integers]:
    """Among the photos of a person and the samples nearest to the person, at the group's number of photos;
    and the ids of these samples."""
    gallery, frame = assessment.gallery, assessment.frame
    group = frame.groups[frame.group_of[np.searchsorted(frame.candidates, person)]]
    near = assessment.partials[recognizer][frame.level_of(group)].neighbours.sample_id[person]
    samples = assessment.samples[recognizer]
    rows = np.searchsorted(samples.sample_id, near[near >= 0])
    photos = np.flatnonzero(gallery.identity == person)
    templates = gallery.templates[recognizer][photos]
    ids = samples.sample_id[rows]
    return closest(photos, templates, ids, samples.templates[rows], mated), ids


@dataclass(frozen=True)
class _Compared:
    """Two pictures. recurs: how many of the person's nearest samples are the same photo."""

    similarity: float
    p_value: float
    likeness: Likeness
    recurs: int


def _result(assessment: Assessment, person: int, pair: Closest, picture: _Compared | None) -> EvidenceResult:
    kind = UNDECIDED if pair.suggests_copy else IDENTITY
    if picture is not None:
        kind = KINDS[picture.likeness]
    return EvidenceResult(
        identity=assessment.gallery.names[person],
        kind=kind,
        photo=assessment.gallery.photos[pair.photo],
        sample_id=pair.sample_id,
        similarity=pair.similarity,
        mated_similarity=pair.mated_similarity,
        template_p_value=pair.p_value,
        structural_similarity=None if picture is None else picture.similarity,
        structural_p_value=None if picture is None else picture.p_value,
        recurs=None if picture is None else picture.recurs,
    )


class _PictureComparison:
    """Samples made again, and aligned photos, compared as pictures."""

    def __init__(self, facts: AuditFacts, recognizer: str) -> None:
        gallery = facts.assessment.gallery
        self._pictures = Pictures(facts.spec, gallery, facts.device)
        self._pairs = self._photo_pairs(gallery, recognizer)

    def compare(self, pair: Closest, near: Integers) -> _Compared | None:
        """None if photo or sample has no picture, or too few people have two photos. near: ids of samples."""
        photo = self._pictures.photo(pair.photo)
        if photo is None or len(self._pairs.similarity) < LEAST_PAIRS:
            return None
        ids = np.unique(np.append(near, pair.sample_id))
        faces = self._pictures.samples(ids)
        similarity = {
            int(sample): picture_similarity(photo, face)
            for sample, face in zip(ids, faces, strict=True)
            if face is not None
        }
        if pair.sample_id not in similarity:
            return None
        value = similarity[pair.sample_id]
        same = [self._pairs.likeness(each) is Likeness.SAME_PHOTO for each in similarity.values()]
        return _Compared(value, self._pairs.p_value(value), self._pairs.likeness(value), sum(same))

    def _photo_pairs(self, gallery: EnrolledGallery, recognizer: str) -> PhotoPairs:
        cohort = gallery.members_of(Role.COHORT)
        templates = gallery.templates[recognizer]
        chosen = cohort[:: max(1, len(cohort) // MOST_PAIRS)]
        pairs = nearest_pairs(templates, gallery.identity, chosen)
        faces = [(self._pictures.photo(int(a)), self._pictures.photo(int(b))) for a, b in pairs]
        return PhotoPairs(
            np.array([picture_similarity(a, b) for a, b in faces if a is not None and b is not None])
        )
