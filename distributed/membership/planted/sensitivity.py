"""How many samples of a person it takes until the audit's own score flags them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from distributed.membership.planted.people import SEED, VARIANTS, Planted
from distributed.membership.scores import Evidence, person_scores
from distributed.reduce.partial import EDGES, Neighbours, Partial
from distributed.statistics.power import STEPS
from distributed.statistics.similarity import Floats, Integers, Singles

DRAWS = 16
"""Of each person: sequences of planted samples, one added after the other."""


@dataclass(frozen=True)
class _Rows:
    """The nearest samples of each sequence, similarity and margin, each float32 (r, topk)."""

    similarity: Singles
    margin: Singles

    def with_more(self, similarity: Singles, margin: Singles) -> _Rows:
        """With planted samples, each (r, more), among them."""
        both = np.concatenate([self.similarity, similarity], axis=1)
        nearest = np.argsort(-both, axis=1, kind="stable")[:, : self.similarity.shape[1]]
        margins = np.concatenate([self.margin, margin], axis=1)
        return _Rows(np.take_along_axis(both, nearest, axis=1), np.take_along_axis(margins, nearest, axis=1))


def planted_scores(evidence: Evidence, planted: Planted, name: str, threshold: float | None) -> Floats:
    """The score of each of k people with the first STEPS planted samples among all, float64 (k, DRAWS,
    STEPS).

    evidence: of all people. threshold: of a hit, for `hit_rate`. The planted samples of a sequence are drawn
    with replacement from the person's. Other people's scores are left as they are.
    """
    k = len(planted.person)
    drawn = np.random.default_rng(SEED).integers(0, VARIANTS, (k * DRAWS, STEPS[-1]))
    similarity, margin = (
        np.take_along_axis(values.repeat(DRAWS, axis=0), drawn, axis=1)
        for values in (planted.similarity, planted.margin)
    )
    person = planted.person.repeat(DRAWS)
    near = evidence.partial.neighbours
    rows = _Rows(near.similarity[person], near.margin[person])
    scores = np.empty((len(person), len(STEPS)))
    for place, (start, stop) in enumerate(zip((0, *STEPS[:-1]), STEPS, strict=True)):
        rows = rows.with_more(similarity[:, start:stop], margin[:, start:stop])
        hits = evidence.partial.hits[person]
        if threshold is not None:
            hits = hits + (similarity[:, :stop] >= threshold).sum(axis=1)
        scores[:, place] = person_scores(_evidence(evidence, person, rows, hits), [name])[name]
    return scores.reshape(k, DRAWS, len(STEPS))


def _evidence(evidence: Evidence, person: Integers, rows: _Rows, hits: Integers) -> Evidence:
    """What the samples show of some people, once for each sequence."""
    density, reference = evidence.reference_density, evidence.reference
    return replace(
        evidence,
        partial=_partial(rows, hits, evidence.partial.samples),
        reference_density=None if density is None else density[person],
        reference=None
        if reference is None
        else _partial(
            _Rows(reference.neighbours.similarity[person], reference.neighbours.margin[person]),
            reference.hits[person],
            reference.samples,
        ),
    )


def _partial(rows: _Rows, hits: Integers, samples: int) -> Partial:
    shape = rows.similarity.shape
    unknown = np.full(shape, -1, np.int64)
    neighbours = Neighbours(rows.similarity, rows.margin, unknown, unknown.astype(np.int32))
    return Partial(neighbours, np.zeros((len(EDGES), shape[0]), np.int64), hits, samples)


def first_flagged(scores: Floats, needed: float) -> Floats:
    """Of each person the share of sequences that are flagged with STEPS[s] samples and not with fewer, (k,
    STEPS). scores: from `planted_scores`; needed: what a score must exceed."""
    above = scores > needed
    before = np.maximum.accumulate(above, axis=2)
    before = np.concatenate([np.zeros_like(before[:, :, :1]), before[:, :, :-1]], axis=2)
    shares: Floats = (above & ~before).mean(axis=1)
    return shares
