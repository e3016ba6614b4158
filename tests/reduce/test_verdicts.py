from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distributed.reduce.calibration import benjamini_hochberg, cohort_needed, smallest_p_value
from distributed.reduce.similarity import Floats
from distributed.reduce.verdicts import Decision, decide
from schemas.tables import Verdict

FDRS = st.sampled_from([0.01, 0.05, 0.1, 0.25, 0.5])


def brute_force(p: Floats, cohort: int, fdr: float) -> list[Verdict]:
    flagged = benjamini_hochberg(p) <= fdr
    verdicts = []
    for j in range(len(p)):
        lowered = p.copy()
        lowered[j] = smallest_p_value(cohort)
        powerful = benjamini_hochberg(lowered)[j] <= fdr
        silent = Verdict.NOT_DETECTED if powerful else Verdict.INCONCLUSIVE
        verdicts.append(Verdict.LEAKED if flagged[j] else silent)
    return verdicts


@given(cohort=st.integers(1, 400), fdr=FDRS, data=st.data())
@settings(deadline=None, max_examples=500)
def test_verdicts_equal_the_brute_force_oracle(cohort: int, fdr: float, data: st.DataObject) -> None:
    small = st.integers(1, min(4, cohort + 1))
    ranks = data.draw(st.lists(small | st.integers(1, cohort + 1), max_size=25))
    p = np.array(ranks, dtype=np.float64) / (cohort + 1)
    decisions = decide(p, cohort=cohort, fdr=fdr)
    assert [one.verdict for one in decisions] == brute_force(p, cohort, fdr)
    assert [one.q_value for one in decisions] == benjamini_hochberg(p).tolist()
    for one in decisions:
        assert (one.reason is not None) == (one.verdict is Verdict.INCONCLUSIVE)


def test_a_cohort_of_the_planned_size_can_flag_one() -> None:
    n = cohort_needed(100, 1, 0.05)
    p = np.array([smallest_p_value(n), *[0.5] * 99])
    assert decide(p, cohort=n, fdr=0.05)[0] == Decision(0.05, Verdict.LEAKED, None)


def test_silence_without_power_is_inconclusive_and_says_why() -> None:
    decisions = decide(np.full(100, 0.5), cohort=99, fdr=0.05)
    assert {one.verdict for one in decisions} == {Verdict.INCONCLUSIVE}
    reason = decisions[0].reason
    assert reason is not None and "99 cohort identities" in reason and "1999 cohort identities" in reason


def test_silence_with_power_is_not_detected() -> None:
    decisions = decide(np.full(100, 0.5), cohort=1999, fdr=0.05)
    assert {one.verdict for one in decisions} == {Verdict.NOT_DETECTED}


def test_a_discovery_gives_power_to_all_others() -> None:
    p = np.array([0.01] * 20 + [0.5] * 80)
    verdicts = [one.verdict for one in decide(p, cohort=99, fdr=0.05)]
    assert verdicts == [Verdict.LEAKED] * 20 + [Verdict.NOT_DETECTED] * 80


def test_no_candidates_get_no_verdicts() -> None:
    assert decide(np.empty(0), cohort=10, fdr=0.05) == []


def test_impossible_p_values_are_refused() -> None:
    with pytest.raises(ValueError, match=r"lie between 0\.1 and 1"):
        decide(np.array([0.01]), cohort=9, fdr=0.05)
    with pytest.raises(ValueError, match="false discovery rate"):
        decide(np.array([0.5]), cohort=9, fdr=1.0)
