"""Similarities in the light of the cohort: what a photo, or a sample, has in common with everybody."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from distributed.reduce.neighbours import Neighbours
from distributed.statistics.similarity import Floats, Integers, Singles, Templates

ROWS_AT_ONCE = 4096
NEAREST = 20  # identities; in simulated worlds with hubs 20 kept more power than all, and as much as 100


@dataclass(frozen=True)
class CohortPeople:
    """The cohort as impostors: one mean template per identity.

    mean: float64 (c, d), the mean of the identity's unit templates, so that a dot product with it is the mean
    similarity to the identity's photos. index: int64 (i,), each gallery identity's row, or −1.
    """

    mean: Floats
    index: Integers


@dataclass(frozen=True)
class Impostors:
    """The similarities of n templates to the cohort, each float64 (n,): mean and standard deviation over
    all its identities, and the mean over the NEAREST most similar."""

    mean: Floats
    deviation: Floats
    nearest_mean: Floats


def cohort_people(templates: Singles, identity: Integers, cohort: Integers) -> CohortPeople:
    """The cohort's identities. templates: (g, d); identity: int64 (g,); cohort: int64 (c,), of identities."""
    index = np.full(int(identity.max()) + 1, -1, dtype=np.int64)
    index[cohort] = np.arange(len(cohort))
    used = np.flatnonzero(index[identity] >= 0)
    exact = Templates.of(templates[used]).exact
    mean = np.zeros((len(cohort), templates.shape[1]))
    np.add.at(mean, index[identity[used]], exact)
    mean /= np.bincount(index[identity[used]], minlength=len(cohort))[:, None]
    return CohortPeople(mean, index)


def impostors(templates: Singles, own: Integers, cohort: CohortPeople) -> Impostors:
    """What templates (n, d) have in common with the cohort, without their own identity.

    own: int64 (n,), the identity (as in the gallery) that is left out, so that a cohort identity is treated
    as a candidate is. Memory is O(ROWS_AT_ONCE × c). Raises ValueError with fewer than three in the cohort.
    """
    if len(cohort.mean) < 3:
        raise ValueError("a cohort norm needs at least three cohort identities")
    parts = [
        _impostors(Templates.of(templates[rows]).exact @ cohort.mean.T, cohort.index[own[rows]])
        for rows in (slice(start, start + ROWS_AT_ONCE) for start in range(0, len(templates), ROWS_AT_ONCE))
    ]
    columns = (
        [np.concatenate([part[column] for part in parts]) for column in range(3)]
        if parts
        else [np.empty(0)] * 3
    )
    return Impostors(*columns)


def _impostors(similarity: Floats, left_out: Integers) -> tuple[Floats, Floats, Floats]:
    known = left_out >= 0
    similarity[np.flatnonzero(known), left_out[known]] = np.nan
    mean = np.nanmean(similarity, axis=1)
    deviation = np.nanstd(similarity, axis=1)
    similarity[np.isnan(similarity)] = -np.inf
    nearest = min(NEAREST, similarity.shape[1] - 1)
    top = np.partition(similarity, -nearest, axis=1)[:, -nearest:]
    return mean, deviation, np.sort(top, axis=1).mean(axis=1)


@dataclass(frozen=True)
class NormInputs:
    """What the norms of g photos are computed from.

    similarity: float64 (g, k), of the nearest samples, −inf where there are fewer. photo: Impostors of the
    photos, arrays (g,). sample: Impostors of the nearest samples, arrays (g, k) by row, flattened.
    """

    similarity: Floats
    photo: Impostors
    sample: Impostors


def norm_inputs(
    templates: Singles,
    identity: Integers,
    neighbours: Neighbours,
    ids: Integers,
    samples: Singles,
    cohort: CohortPeople,
) -> NormInputs:
    """Gather the inputs: templates (g, d) and identity (g,) of the photos; samples (u, d), the templates of
    the sample ids (u,), rising. Raises ValueError if a neighbour's template is missing."""
    wanted = neighbours.sample_id
    there = wanted >= 0
    row = np.searchsorted(ids, wanted[there])
    if len(row) and (row.max() >= len(ids) or not np.array_equal(ids[row], wanted[there])):
        raise ValueError("the template of a nearest sample is missing")
    own = np.broadcast_to(identity[:, None], wanted.shape)[there]
    near = impostors(samples[row], own, cohort)
    spread = Impostors(
        *(_scatter(column, there) for column in (near.mean, near.deviation, near.nearest_mean))
    )
    return NormInputs(
        neighbours.similarity.astype(np.float64), impostors(templates, identity, cohort), spread
    )


def _scatter(values: Floats, there: NDArray[np.bool_]) -> Floats:
    whole = np.ones(there.shape)
    whole[there] = values
    return whole


def z_norm(inputs: NormInputs) -> Floats:
    """(s − μ_photo) / σ_photo of the nearest sample, (g,): Reynolds 1997; Auckenthaler et al. 2000, Digital
    Signal Processing 10. A photo that looks like everybody has a large μ."""
    scaled: Floats = (inputs.similarity[:, 0] - inputs.photo.mean) / inputs.photo.deviation
    return scaled


def t_norm(inputs: NormInputs) -> Floats:
    """The largest (s − μ_sample) / σ_sample of the nearest samples, (g,): Auckenthaler et al. 2000.

    A sample that looks like everybody has a large μ.
    """
    largest: Floats = _t(inputs).max(axis=1)
    return largest


def s_norm(inputs: NormInputs) -> Floats:
    """The largest mean of the z- and the t-normalised similarity of the nearest samples, (g,).

    Kenny 2010, Bayesian speaker verification with heavy-tailed priors, Odyssey.
    """
    z = (inputs.similarity - inputs.photo.mean[:, None]) / inputs.photo.deviation[:, None]
    largest: Floats = ((z + _t(inputs)) / 2).max(axis=1)
    return largest


def _t(inputs: NormInputs) -> Floats:
    scaled: Floats = (inputs.similarity - inputs.sample.mean) / inputs.sample.deviation
    return scaled


def cohort_norm(inputs: NormInputs) -> Floats:
    """The largest s − μ of the nearest samples, (g,); μ: the sample's mean similarity to its NEAREST cohort.

    Unconstrained cohort normalisation (Ariyaeeinia and Sivakumaran 1997; Auckenthaler et al. 2000):
    how much better a sample fits this person than the people outside the training data whom it fits best.
    """
    largest: Floats = (inputs.similarity - inputs.sample.nearest_mean).max(axis=1)
    return largest
