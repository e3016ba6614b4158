"""What the size of the cohort allows an audit to say, whatever the samples show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from distributed.statistics.calibration import cohort_needed, flaggable_count, smallest_p_value
from distributed.statistics.flagging import Correction, level
from distributed.statistics.matching import Group
from distributed.statistics.power import Power


@dataclass(frozen=True)
class GroupAllowance:
    """Candidates who are calibrated together.

    flaggable_from: one of them can be flagged only if so many candidates are flagged together; None: never.
    """

    stratum: str
    photos: int
    candidates: int
    cohort: int
    smallest_p_value: float
    flaggable_from: int | None


@dataclass(frozen=True)
class Allowance:
    """For m candidates in groups. largest: the group with the largest cohort, the first one of several."""

    candidates: int
    groups: Sequence[GroupAllowance]
    largest: int
    cohort_needed_for_one: int

    @property
    def best(self) -> GroupAllowance:
        return self.groups[self.largest]

    @property
    def flags_one(self) -> bool:
        """Whether the largest cohort can flag one candidate alone."""
        return self.best.flaggable_from == 1

    def power_at_most(self, samples: int) -> Power:
        """The chance to flag one candidate alone if every sample were compared and every match were made.

        No audit of so many samples has more. It is 0 if the cohort is too small to flag one alone.
        """
        return Power.by_one(samples, float(self.flags_one))


def allowance(groups: Sequence[Group], *, fdr: float, correction: Correction) -> Allowance:
    """Raises ValueError without a group."""
    m = sum(len(group.candidates) for group in groups)
    rate = level(m, fdr, correction)
    sizes = [len(group.cohort) for group in groups]
    return Allowance(
        m,
        [
            GroupAllowance(
                group.stratum,
                group.photos,
                len(group.candidates),
                n,
                smallest_p_value(n),
                flaggable_count(m, n, rate),
            )
            for group, n in zip(groups, sizes, strict=True)
        ],
        sizes.index(max(sizes)),
        cohort_needed(m, 1, rate),
    )
