"""Scores of a world by brute force in float64: with no search, no blocks, no merging and none of its code."""

from __future__ import annotations

import numpy as np
from scipy.special import logsumexp
from scipy.stats import beta

from distributed.membership.scores import TEMPERATURE
from distributed.reduce.margins import RIVALS, SOFTNESS
from distributed.statistics.similarity import Floats, Integers
from jobs.benchmarks.worlds.simulated import JudgedWorld, unit
from schemas.run.tables import Role


def exact_scores(judged: JudgedWorld, topk: int) -> dict[str, list[Floats]]:
    """Each score of all people at each level of the world's frame, (P,)."""
    scores: dict[str, list[Floats]] = {}
    compared = judged.compared
    for photos, threshold in zip(judged.frame.levels, compared.thresholds, strict=True):
        for name, values in _at(judged, photos, threshold, topk).items():
            scores.setdefault(name, []).append(values)
    return scores


def _at(judged: JudgedWorld, photos: int, threshold: float | None, topk: int) -> dict[str, Floats]:
    samples, people = _relative(judged, photos)
    similarity = people @ samples.T
    nearest = np.sort(similarity, axis=1)[:, ::-1][:, :topk]
    cohort = judged.frame.gallery.members_of(Role.COHORT)
    scores = {
        "margin": np.array([_margin(similarity, person, topk) for person in range(len(people))]),
        "max": nearest[:, 0],
        "topk_mean": nearest.mean(axis=1),
        "density_ratio": _density_ratio(people, cohort, nearest[:, -1], len(samples), topk),
    }
    if threshold is not None:
        scores["hit_rate"] = (similarity >= threshold).mean(axis=1)
    return scores


def _relative(judged: JudgedWorld, photos: int) -> tuple[Floats, Floats]:
    """Samples and people relative to the mean sample, as docs/method.md defines them."""
    drawn, rank = judged.drawn, judged.frame.gallery.rank
    stored = drawn.samples.astype(np.float64)
    centre = stored.sum(axis=0) / (len(stored) + 1)
    gallery = unit(drawn.gallery.astype(np.float64) - centre)
    first = [gallery[(drawn.identity == person) & (rank < photos)] for person in np.unique(drawn.identity)]
    return unit(stored - centre), unit(np.stack([rows.mean(axis=0) for rows in first]))


def _margin(similarity: Floats, person: int, topk: int) -> float:
    near = np.argsort(-similarity[person], kind="stable")[:topk]
    others = np.sort(np.delete(similarity[:, near], person, axis=0), axis=0)[-RIVALS:]
    margins = similarity[person, near] - SOFTNESS * logsumexp(others / SOFTNESS, axis=0)
    return float(logsumexp(margins / TEMPERATURE))


def _density_ratio(people: Floats, cohort: Integers, kth: Floats, samples: int, topk: int) -> Floats:
    """The log density ratio at each person, by the caps with the topk nearest samples, and cohort people."""
    similarity = people @ people[cohort].T
    similarity[cohort, np.arange(len(cohort))] = -np.inf
    reference = np.sort(similarity, axis=1)[:, -topk]
    counts = len(cohort) - np.isin(np.arange(len(people)), cohort)
    log_share = [np.log(_cap_share(values, people.shape[1])) for values in (kth, reference)]
    ratio: Floats = np.log(counts / samples) - log_share[0] + log_share[1]
    return ratio


def _cap_share(similarity: Floats, d: int) -> Floats:
    """The share of the sphere at least this similar to a point: (1 + s)/2 is beta distributed."""
    share: Floats = beta.sf((1 + similarity) / 2, (d - 1) / 2, (d - 1) / 2)
    return share


def max_of_photos(judged: JudgedWorld) -> Floats:
    """GAN-Leaks' attack photo by photo: the mean over a person's photos of each one's nearest sample, (P,).

    What `max` was in version 0.1: templates as they are, nothing fused, nothing centred.
    """
    drawn = judged.drawn
    gallery, samples = (unit(rows.astype(np.float64)) for rows in (drawn.gallery, drawn.samples))
    nearest = (gallery @ samples.T).max(axis=1)
    means: Floats = np.bincount(drawn.identity, weights=nearest) / np.bincount(drawn.identity)
    return means
