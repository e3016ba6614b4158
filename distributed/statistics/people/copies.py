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
    for place, person in enumerate(people):
        rows = Templates.of(templates[identity == person]).exact
        if len(rows) > 1:
            largest[place] = (rows @ rows.T)[np.triu_indices(len(rows), 1)].max()
    return largest


def closest(
    templates: Singles,
    identity: Integers,
    similarity: Singles,
    sample_id: Integers,
    person: int,
    mated: Floats,
) -> Closest:
    """The nearest pair of identity `person`; mated: from `largest_mated` of the cohort, NaN left out.

    similarity, sample_id: (g,), of each photo's nearest sample. The p-value is conformal: (1 + #{mated >=
    similarity}) / (n + 1), for the hypothesis that sample and photo are two photos of one person.
    """
    photos = np.flatnonzero(identity == person)
    photo = int(photos[np.argmax(similarity[photos])])
    others = photos[photos != photo]
    own = None
    if len(others):
        exact = Templates.of(templates[np.append(others, photo)]).exact
        own = float((exact[:-1] @ exact[-1]).max())
    known = mated[~np.isnan(mated)]
    value = float(similarity[photo])
    p_value = (1 + int((known >= value).sum())) / (len(known) + 1)
    return Closest(photo, int(sample_id[photo]), value, own, p_value)
