"""Copy or identity: does a sample match one photo further than photos of one person match each other?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from distributed.statistics.similarity import Floats, Integers, Singles, Templates

COPY_P = 0.01


@dataclass(frozen=True)
class Closest:
    """The nearest pair of a photo and a sample of one identity.

    photo: row of the gallery. mated_similarity: the photo's largest similarity to another one of the same
    person, None without one. p_value: share of the cohort's people with two photos that match so well.
    """

    photo: int
    sample_id: int
    similarity: float
    mated_similarity: float | None
    p_value: float

    @property
    def suggests_copy(self) -> bool:
        """The sample is nearer to the photo than the person's other photos, and than those of most people."""
        mated = -1.0 if self.mated_similarity is None else self.mated_similarity
        return self.p_value <= COPY_P and self.similarity > mated


def largest_mated(templates: Singles, identity: Integers, people: Integers) -> Floats:
    """Each person's largest similarity between two of their photos, float64; NaN with fewer than two."""
    largest = np.full(len(people), np.nan)
    order = np.argsort(identity, kind="stable")
    starts, stops = (np.searchsorted(identity[order], people, side=side) for side in ("left", "right"))
    for place, (start, stop) in enumerate(zip(starts, stops, strict=True)):
        if stop - start > 1:
            rows = Templates.of(templates[order[start:stop]]).exact
            largest[place] = (rows @ rows.T)[np.triu_indices(len(rows), 1)].max()
    return largest


def closest(photos: Integers, templates: Singles, ids: Integers, samples: Singles, mated: Floats) -> Closest:
    """The nearest pair of a person's photo and one of the samples nearest to the person.

    photos: int64 (c,), rows of the gallery, whose templates are (c, d); ids: int64 (k,), of samples (k, d).
    mated: from `largest_mated` of the cohort, NaN left out. The p-value is conformal: (1 + #{mated >=
    similarity}) / (n + 1), for the hypothesis that sample and photo are two photos of one person.
    """
    exact = Templates.of(templates).exact
    similarity = exact @ Templates.of(samples).exact.T
    photo, sample = np.unravel_index(int(similarity.argmax()), similarity.shape)
    own = None
    if len(photos) > 1:
        own = float(np.delete(exact @ exact[photo], photo).max())
    known = mated[~np.isnan(mated)]
    value = float(np.float32(similarity[photo, sample]))
    p_value = (1 + int((known >= value).sum())) / (len(known) + 1)
    return Closest(int(photos[photo]), int(ids[sample]), value, own, p_value)
