"""Pairs of a person and a sample for a reviewer, who cannot tell from them whom the audit flagged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from jobs.pages.explorer.tables import Explorer, Row
from schemas.judgements import Group, JudgedPair
from schemas.run.tables import Role, Verdict

SEED_OF_PAIRS = 23
"""Beside the audit's seed, so that no other draw of the audit is repeated."""


def draw_pairs(explorer: Explorer, count: int) -> Sequence[JudgedPair]:
    """At most `count` people with the sample most similar to each, in an order drawn by the audit's seed.

    As many flagged candidates as others and as people of the cohort, as far as there are such. All reviewers
    of a run get the same pairs in the same order, so that their decisions can be compared.
    """
    random = np.random.default_rng([int(explorer.results.spec["seed"]), SEED_OF_PAIRS])
    by_group: dict[Group, list[Row]] = {group: [] for group in Group}
    for row in explorer.most_similar():
        if explorer.photos(row["identity"]):
            by_group[_group_of(row)].append(row)
    chosen = _in_turn({group: random.permutation(len(rows)) for group, rows in by_group.items()}, count)
    order = random.permutation(len(chosen))
    return [
        JudgedPair(
            number=number, identity=row["identity"], sample_id=row["sample_id"], group=chosen[place][0]
        )
        for number, place in enumerate(order, start=1)
        for row in [by_group[chosen[place][0]][chosen[place][1]]]
    ]


def _group_of(row: Row) -> Group:
    if row["role"] == Role.COHORT:
        return Group.COHORT
    return Group.FLAGGED if row["verdict"] == Verdict.LEAKED else Group.NOT_FLAGGED


def _in_turn(
    places: Mapping[Group, np.ndarray[tuple[int], np.dtype[np.int64]]], count: int
) -> list[tuple[Group, int]]:
    """One of each group after the other, until `count` are chosen or none is left."""
    longest = max(map(len, places.values()), default=0)
    turns = [
        (group, int(of_group[turn]))
        for turn in range(longest)
        for group, of_group in places.items()
        if turn < len(of_group)
    ]
    return turns[:count]
