"""What each flag rests on: a near-copy of one photo, or the person across photos."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.metrics import structural_similarity

from distributed.embedding.extractor import TemplateExtractor
from distributed.gallery.source import photo_places
from distributed.membership.assessment import Assessment
from distributed.membership.judgement import Judgement
from distributed.sampling.adapters import open_again
from distributed.sampling.generator import Image, InvalidImage
from distributed.sampling.images.places import decode_at
from distributed.stages.embed import ShardJob, open_extractor
from distributed.statistics.people.copies import COPY_P, Closest, closest, largest_mated
from distributed.statistics.similarity import Floats
from schemas.run.results import EvidenceResult
from schemas.run.tables import Role, Verdict
from schemas.spec.audit import AuditSpec

NEAR_COPY, IDENTITY, UNDECIDED = "near-copy", "identity", "undecided"
COMPARED_SIZE = 56
"""Crops are compared at half the recogniser's frame: a small generator has no finer detail."""
OTHER_PHOTOS = 200


def collect_evidence(
    spec: AuditSpec, assessment: Assessment, judgement: Judgement, device: str
) -> list[EvidenceResult]:
    """Evidence of everybody whom the judgement flags, in the order of candidates.

    near-copy: a sample matches one photo better than the person's photos match each other and than at least
    99 % of the cohort's people do, and its picture is more like that photo than like at least 99 % of other
    photos (SSIM of aligned crops, Wang et al. 2004, IEEE TIP 13(4)). identity: the templates say that sample
    and photo may be two photos of one person. undecided: the templates suggest a copy and the picture does
    not, or there is no photo to compare.
    """
    flagged = [
        int(candidate)
        for candidate, verdict in zip(assessment.frame.candidates, judgement.verdicts(), strict=True)
        if verdict is Verdict.LEAKED
    ]
    known = assessment.partials
    recognizer = judgement.recognizer if judgement.recognizer in known else next(iter(known))
    gallery = assessment.gallery
    mated = largest_mated(gallery.templates[recognizer], gallery.identity, gallery.members_of(Role.COHORT))
    pairs = {person: _closest(assessment, recognizer, person, mated) for person in flagged}
    suspected = [person for person, pair in pairs.items() if pair.suggests_copy]
    pictures = _Pictures(spec, assessment, device) if suspected and spec.generator.has_images else None
    return [
        _result(assessment, person, pair, pictures.compare(pair) if pictures and pair.suggests_copy else None)
        for person, pair in pairs.items()
    ]


def _closest(assessment: Assessment, recognizer: str, person: int, mated: Floats) -> Closest:
    """Among the photos of a person and the samples nearest to the person, at the group's number of photos."""
    gallery, frame = assessment.gallery, assessment.frame
    group = frame.groups[frame.group_of[np.searchsorted(frame.candidates, person)]]
    near = assessment.partials[recognizer][frame.level_of(group)].neighbours.sample_id[person]
    samples = assessment.samples[recognizer]
    rows = np.searchsorted(samples.sample_id, near[near >= 0])
    photos = np.flatnonzero(gallery.identity == person)
    templates = gallery.templates[recognizer][photos]
    return closest(photos, templates, samples.sample_id[rows], samples.templates[rows], mated)


def _result(
    assessment: Assessment, person: int, pair: Closest, picture: tuple[float, float] | None
) -> EvidenceResult:
    kind = IDENTITY
    if pair.suggests_copy:
        kind = NEAR_COPY if picture is not None and picture[1] <= COPY_P else UNDECIDED
    return EvidenceResult(
        identity=assessment.gallery.names[person],
        kind=kind,
        photo=assessment.gallery.photos[pair.photo],
        sample_id=pair.sample_id,
        similarity=pair.similarity,
        mated_similarity=pair.mated_similarity,
        template_p_value=pair.p_value,
        structural_similarity=None if picture is None else picture[0],
        structural_p_value=None if picture is None else picture[1],
    )


class _Pictures:
    """Samples made again, and aligned photos, compared as pictures."""

    def __init__(self, spec: AuditSpec, assessment: Assessment, device: str) -> None:
        self._gallery = assessment.gallery
        self._generator = open_again(spec.generator, spec.seed, device=device, run=spec.output)
        self._samples = open_extractor(ShardJob(spec, {}, "", device, 1))
        self._photos = open_extractor(ShardJob(spec, {}, "", device, 1, photos=()))
        self._places = photo_places(spec)

    def compare(self, pair: Closest) -> tuple[float, float] | None:
        """The SSIM of sample and photo, and its p-value against other photos; None if one has no picture."""
        sample = self._crop(self._samples, self._generator.sample(np.array([pair.sample_id]))[0])
        photo = self._photo(pair.photo)
        if sample is None or photo is None:
            return None
        owner = self._gallery.identity[pair.photo]
        others = np.flatnonzero(self._gallery.identity != owner)
        step = max(1, len(others) // OTHER_PHOTOS)
        crops = [crop for row in others[::step] if (crop := self._photo(int(row))) is not None]
        value = _ssim(sample, photo)
        at_least = sum(_ssim(sample, crop) >= value for crop in crops)
        return value, (1 + at_least) / (len(crops) + 1)

    def _photo(self, row: int) -> NDArray[np.uint8] | None:
        name = self._gallery.names[int(self._gallery.identity[row])]
        place = self._places.get((name, self._gallery.photos[row]))
        return None if place is None else self._crop(self._photos, decode_at(place))

    def _crop(self, extractor: TemplateExtractor, image: Image | InvalidImage) -> NDArray[np.uint8] | None:
        """The aligned face, grey, COMPARED_SIZE square; None without one face."""
        if isinstance(image, InvalidImage):
            return None
        crops = extractor.crops([image], 2 * COMPARED_SIZE)
        if crops[0] is None:
            return None
        small = cv2.resize(crops[0], (COMPARED_SIZE, COMPARED_SIZE), interpolation=cv2.INTER_AREA)
        return np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), np.uint8)


def _ssim(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    similarity: Any = structural_similarity
    return float(similarity(a, b, data_range=255))
