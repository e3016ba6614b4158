from __future__ import annotations

import numpy as np
import pytest

from distributed.membership.verdicts import decide
from distributed.statistics.allowance import Allowance, allowance
from distributed.statistics.flagging import Correction
from distributed.statistics.matching import Group
from schemas.run.tables import Verdict


def of_sizes(*sizes: tuple[int, int], correction: Correction = "bh") -> Allowance:
    """Groups of so many candidates and cohort identities."""
    groups = [
        Group("all", photos, np.arange(candidates), np.arange(cohort))
        for photos, (candidates, cohort) in enumerate(sizes, start=1)
    ]
    return allowance(groups, fdr=0.05, correction=correction)


@pytest.mark.parametrize("correction", ["bh", "by"])
@pytest.mark.parametrize("cohort", [30, 150, 799, 3500])
def test_what_is_flaggable_is_what_the_decision_flags(correction: Correction, cohort: int) -> None:
    m = 40
    allowed = of_sizes((m, cohort), correction=correction)
    floor = np.full(m, 1 / (cohort + 1))
    counts = []
    for k in range(1, m + 1):
        p = np.where(np.arange(m) < k, floor, 1.0)
        decisions = decide(p, floor, fdr=0.05, correction=correction)
        if decisions[0].verdict is Verdict.LEAKED:
            counts.append(k)
    assert allowed.best.flaggable_from == min(counts, default=None)
    assert allowed.flags_one == (cohort >= allowed.cohort_needed_for_one)


def test_the_largest_cohort_is_the_best_and_each_group_has_its_own_count() -> None:
    allowed = of_sizes((30, 799), (10, 150))
    assert [group.flaggable_from for group in allowed.groups] == [1, 6]
    assert allowed.best.cohort == 799 and allowed.candidates == 40


def test_no_number_of_samples_has_power_if_the_cohort_is_too_small() -> None:
    assert of_sizes((40, 798)).power_at_most(10**6).at(1.0) == 0.0
    assert of_sizes((40, 799)).power_at_most(1000).at(0.001) == pytest.approx(1 - 0.999**1000)
