"""How often a person must appear among the samples for an audit to notice."""

from __future__ import annotations

import numpy as np

from distributed.statistics.similarity import Floats, Integers, Singles, Templates

SHARES = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2)


def presence_power(share: float, samples: int, match_rate: float) -> float:
    """The chance 1 − (1 − share · match_rate)^samples that at least one sample shows and matches a person.

    share: of samples that show the person; match_rate: the chance that one of these is similar enough.
    """
    return float(-np.expm1(samples * np.log1p(-share * match_rate)))


def smallest_share(power: float, samples: int, match_rate: float) -> float | None:
    """The share of samples for which `presence_power` is `power`; None if no share up to 1 is enough."""
    if match_rate <= 0:
        return None
    share = float(-np.expm1(np.log1p(-power) / samples)) / match_rate
    return share if share <= 1 else None


def flagging_similarity(cohort: Floats, candidates: int, fdr: float) -> float | None:
    """The score that a single candidate of m must pass to be flagged alone, given the cohort's (n,).

    None if the cohort is too small for that: its floor 1/(n + 1) is above fdr/m.
    """
    allowed = int(np.floor(fdr / candidates * (len(cohort) + 1) + 1e-9)) - 1
    if allowed < 0:
        return None
    return float(np.sort(cohort)[::-1][allowed]) if allowed < len(cohort) else -np.inf


def mated_match_rate(templates: Singles, identity: Integers, similarity: float) -> float | None:
    """The share of pairs of photos of one person that are at least so similar; None without such pairs.

    Each person counts once, however many photos. templates: (g, d); identity: int64 (g,).
    """
    rates = []
    for one in np.unique(identity):
        rows = Templates.of(templates[identity == one]).exact
        pairs = (rows @ rows.T)[np.triu_indices(len(rows), 1)]
        if len(pairs):
            rates.append(float((pairs >= similarity).mean()))
    return float(np.mean(rates)) if rates else None
