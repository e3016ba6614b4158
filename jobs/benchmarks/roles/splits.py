"""Ways to deal out who is a candidate and who is of the cohort."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from distributed.membership.frame import Frame, identity_quality
from distributed.statistics.matching import EVERYBODY, calibration_groups, merged_strata
from distributed.statistics.similarity import Integers
from jobs.benchmarks.roles.people import Flags, People

SKEW = 0.7
"""Share of the candidates who are no members that a hostile split takes from the upper half of them."""


@dataclass(frozen=True)
class Split:
    """How roles are drawn. upper: bool (P,), from whom a hostile split takes more candidates; strata: whether
    people are calibrated within the upper and the lower half."""

    name: str
    upper: Flags | None = None
    strata: bool = False
    members: bool = True

    @property
    def promised(self) -> bool:
        """Whether candidates who are no members and the cohort are exchangeable."""
        return self.upper is None


def splits_of(people: People) -> Iterator[Split]:
    """At random, and hostile ones by what people differ in."""
    yield Split("at random")
    yield Split("at random, nobody leaked", members=False)
    others = people.known & ~people.member
    columns = {
        "photos": people.gallery.photos_per_identity().astype(np.float64),
        "detection score": identity_quality(people.gallery),
    }
    for name, values in columns.items():
        upper = values > np.median(values[others])
        if upper[others].any() and not np.isnan(values[others]).any():
            for strata in (False, True):
                how = "strata" if strata else "no strata"
                yield Split(f"hostile by {name}, {how}, nobody leaked", upper, strata, members=False)


def drawn(people: People, split: Split, random: np.random.Generator) -> Integers:
    """The others who are candidates."""
    others, count = np.flatnonzero(people.known & ~people.member), people.candidates
    if split.upper is None:
        return random.choice(others, count, replace=False)
    upper, lower = others[split.upper[others]], others[~split.upper[others]]
    from_upper = min(len(upper) - 1, round(SKEW * count))
    chosen = (
        random.choice(upper, from_upper, replace=False),
        random.choice(lower, count - from_upper, replace=False),
    )
    return np.concatenate(chosen)


def frame_of(people: People, others: Integers, split: Split) -> Frame:
    """The members, if they take part, and these others as candidates, and all others as their cohort."""
    taking_part = np.flatnonzero(people.known & (~people.member | split.members))
    in_cohort = ~people.member[taking_part] & ~np.isin(taking_part, others)
    strata = [EVERYBODY] * len(taking_part)
    if split.strata and split.upper is not None:
        halves = ["upper" if upper else "lower" for upper in split.upper[taking_part]]
        strata = merged_strata(halves, in_cohort, people.membership.least_stratum)
    photos = people.gallery.photos_per_identity()[taking_part]
    wanted = None if people.membership.photos == "auto" else people.membership.photos
    groups = [
        replace(group, candidates=taking_part[group.candidates], cohort=taking_part[group.cohort])
        for group in calibration_groups(photos, in_cohort, strata, wanted)
    ]
    candidates = taking_part[~in_cohort]
    group_of = np.empty(len(candidates), np.int64)
    for index, group in enumerate(groups):
        group_of[np.isin(candidates, group.candidates)] = index
    return Frame(people.gallery, groups, candidates, group_of)
