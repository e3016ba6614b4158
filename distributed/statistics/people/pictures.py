"""The same photo, or another one of the same person? By the aligned faces as pictures, not as templates."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter
from skimage.metrics import structural_similarity

from distributed.statistics.similarity import Floats, Integers, Singles, Templates

COMPARED_SIZE = 56
"""Faces are compared at half the recogniser's frame: a small generator has no finer detail."""
BLUR = 1.5
"""Pixels, of a Gaussian: what one picture's resolution or encoding lost is taken off both."""
COPY_P, OTHER_P = 0.01, 0.1
"""At most so large: the same photo; larger than the second: another one; between them it is undecided."""
LEAST_PAIRS = round(1 / COPY_P) - 1
"""With fewer pairs of photos to compare with, no p-value is as small as COPY_P."""


class Likeness(StrEnum):
    """What two pictures of one person are to each other."""

    SAME_PHOTO = "same photo"
    SAME_PERSON = "same person"
    UNDECIDED = "undecided"


def prepared(grey: Singles) -> Singles:
    """A grey face, float32 (COMPARED_SIZE, COMPARED_SIZE), without fine detail, of mean 0 and variance 1, so
    that neither brightness nor contrast counts."""
    smooth = gaussian_filter(grey.astype(np.float64), BLUR)
    spread = float(smooth.std())
    return np.asarray((smooth - smooth.mean()) / (spread if spread > 0 else 1.0), np.float32)


def picture_similarity(a: Singles, b: Singles) -> float:
    """The SSIM (Wang et al. 2004, IEEE TIP 13(4)) of two prepared faces, or of one and the other's mirror
    image, whichever is larger."""
    similarity: Any = structural_similarity
    return max(float(similarity(a, each, data_range=4.0)) for each in (b, b[:, ::-1]))


@dataclass(frozen=True)
class PhotoPairs:
    """The similarity of two different photos of each of n people, (n,): the null of every p-value."""

    similarity: Floats

    def p_value(self, similarity: float) -> float:
        """Conformal, that two pictures are two different photos of one person: (1 + #{>=}) / (n + 1)."""
        return (1 + int((self.similarity >= similarity).sum())) / (len(self.similarity) + 1)

    def likeness(self, similarity: float) -> Likeness:
        """Two different photos of such people are called the same one with a chance of at most COPY_P."""
        p_value = self.p_value(similarity)
        if p_value <= COPY_P:
            return Likeness.SAME_PHOTO
        decided = p_value > OTHER_P and len(self.similarity) >= LEAST_PAIRS
        return Likeness.SAME_PERSON if decided else Likeness.UNDECIDED


def nearest_pairs(templates: Singles, identity: Integers, people: Integers) -> Integers:
    """Of each of these people with two photos the two that are most similar, rows of templates: (n, 2)."""
    pairs = []
    for person in people:
        rows = np.flatnonzero(identity == person)
        if len(rows) > 1:
            exact = Templates.of(templates[rows]).exact
            similarity = exact @ exact.T
            np.fill_diagonal(similarity, -np.inf)
            pairs.append(rows[list(np.unravel_index(int(similarity.argmax()), similarity.shape))])
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)
