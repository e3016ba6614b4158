"""Whether templates tell candidates from the cohort: what exchangeability of the two sides rests on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from distributed.statistics.similarity import Floats, Integers, Singles

FOLDS = 5
PERMUTATIONS = 499
MOST_PEOPLE = 4000
SEED = 0
RIDGE = 1.0
"""Of unit templates, relative to the mean of their squares."""


@dataclass(frozen=True)
class RoleTest:
    """auc: how often a candidate's prediction is above that of somebody of the cohort, within strata; 0.5 is
    chance. p_value: of exchangeable roles, by a permutation test. chosen: int64 (c,), who took part, rising;
    predicted: float64 (c,), of them. separators: property -> how much of these it explains."""

    auc: float
    p_value: float
    chosen: Integers
    predicted: Floats
    separators: Mapping[str, float] = field(default_factory=dict)

    def with_separators(self, separators: Mapping[str, float]) -> RoleTest:
        return replace(self, separators=separators)


def role_test(
    templates: Singles, is_candidate: NDArray[np.bool_], stratum: Integers, seed: int = SEED
) -> RoleTest | None:
    """Predict roles from templates (p, d) by a linear classifier, each fold's by the other folds.

    stratum: int64 (p,); roles are permuted within strata, as exchangeability is claimed within them. It is
    ridge regression on the role, so all permutations share one inversion a fold. The p-value is exact: under
    exchangeable roles it is at most t with a chance of at most t. Of more than MOST_PEOPLE people a random
    part is used. None if no stratum has both roles.
    """
    random = np.random.default_rng(seed)
    chosen = np.sort(random.permutation(len(templates))[:MOST_PEOPLE])
    rows, role = templates[chosen].astype(np.float64), is_candidate[chosen].astype(np.float64)
    _, place = np.unique(stratum[chosen], return_inverse=True)
    roles = _permuted(role, place, random)
    if not _within(roles[:, :1], place).any():
        return None
    predicted = cross_fitted(_within(rows, place), _within(roles, place), random)
    predicted = _within(predicted, place)
    aucs = _aucs(predicted, roles, place)
    p_value = float((1 + (aucs[1:] >= aucs[0]).sum()) / (PERMUTATIONS + 1))
    return RoleTest(float(aucs[0]), p_value, chosen, predicted[:, 0])


def _permuted(role: Floats, stratum: Integers, random: np.random.Generator) -> Floats:
    """The roles, and PERMUTATIONS of them within strata, in columns."""
    roles = np.repeat(role[:, None], PERMUTATIONS + 1, axis=1)
    for value in range(int(stratum.max()) + 1):
        inside = np.flatnonzero(stratum == value)
        roles[inside, 1:] = random.permuted(roles[inside, 1:], axis=0)
    return roles


def _within(values: Floats, stratum: Integers) -> Floats:
    """Values (p, c) less their mean within each stratum."""
    sums = np.zeros((int(stratum.max()) + 1, values.shape[1]))
    np.add.at(sums, stratum, values)
    means: Floats = sums / np.bincount(stratum)[:, None]
    return values - means[stratum]


def cross_fitted(rows: Floats, targets: Floats, random: np.random.Generator) -> Floats:
    """What ridge regression of the other folds predicts of targets (p, t) by rows (p, d), both centred."""
    fold = random.permutation(len(rows)) % FOLDS
    predicted = np.empty_like(targets)
    ridge = RIDGE * np.eye(rows.shape[1]) * float((rows**2).sum()) / rows.shape[1]
    for part in range(FOLDS):
        test = fold == part
        inside = rows[~test]
        weights = np.linalg.solve(inside.T @ inside + ridge, inside.T @ targets[~test])
        predicted[test] = rows[test] @ weights
    return predicted


def _aucs(predicted: Floats, roles: Floats, stratum: Integers) -> Floats:
    """Of each column, the mean over strata, by their numbers of pairs."""
    wins, pairs = np.zeros(roles.shape[1]), 0.0
    for value in range(int(stratum.max()) + 1):
        inside = stratum == value
        count = float(roles[inside, 0].sum())
        others = float(inside.sum()) - count
        ranks = rankdata(predicted[inside], axis=0)
        wins += (ranks * roles[inside]).sum(axis=0) - count * (count + 1) / 2
        pairs += count * others
    aucs: Floats = wins / pairs
    return aucs
