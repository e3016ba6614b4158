from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distributed.membership.verdicts import decide, explained_by
from distributed.statistics.calibration import benjamini_hochberg, cohort_needed, smallest_p_value
from distributed.statistics.discoveries import benjamini_yekutieli
from distributed.statistics.flagging import Correction, flagging_p_values
from distributed.statistics.similarity import Floats
from schemas.run.tables import Verdict

FDRS = st.sampled_from([0.01, 0.05, 0.1, 0.25, 0.5])


def same(floor: float, m: int) -> Floats:
    return np.full(m, floor)


def brute_force(p: Floats, floor: Floats, fdr: float, correction: Correction) -> list[Verdict]:
    q_values = benjamini_hochberg if correction == "bh" else benjamini_yekutieli
    flagged = q_values(p) <= fdr
    verdicts = []
    for j in range(len(p)):
        lowered = p.copy()
        lowered[j] = floor[j]
        silent = Verdict.NOT_DETECTED if q_values(lowered)[j] <= fdr else Verdict.INCONCLUSIVE
        verdicts.append(Verdict.LEAKED if flagged[j] else silent)
    return verdicts


@given(
    cohorts=st.lists(st.integers(1, 400), min_size=1, max_size=3),
    fdr=FDRS,
    correction=st.sampled_from(["bh", "by"]),
    data=st.data(),
)
@settings(deadline=None, max_examples=500)
def test_verdicts_equal_the_brute_force_oracle(
    cohorts: list[int], fdr: float, correction: Correction, data: st.DataObject
) -> None:
    sizes = np.array(data.draw(st.lists(st.sampled_from(cohorts), max_size=25)), dtype=np.int64)
    ranks = [data.draw(st.integers(1, min(4, n + 1)) | st.integers(1, n + 1)) for n in sizes.tolist()]
    p, floor = np.array(ranks, dtype=np.float64) / (sizes + 1), 1 / (sizes + 1)
    decisions = decide(p, floor, fdr=fdr, correction=correction)
    assert [decision.verdict for decision in decisions] == brute_force(p, floor, fdr, correction)
    for decision in decisions:
        assert (decision.reason is not None) == (decision.verdict is Verdict.INCONCLUSIVE)


@given(
    ranks=st.lists(st.integers(1, 60), min_size=1, max_size=12),
    fdr=FDRS,
    correction=st.sampled_from(["bh", "by"]),
)
@settings(deadline=None, max_examples=300)
def test_the_p_value_that_would_have_been_enough_is_just_enough(
    ranks: list[int], fdr: float, correction: Correction
) -> None:
    p = np.array(ranks, dtype=np.float64) / 60
    q_values = benjamini_hochberg if correction == "bh" else benjamini_yekutieli
    flagged = q_values(p) <= round(fdr, 12)
    bars = flagging_p_values(p, fdr, correction)
    assert np.isnan(bars).tolist() == flagged.tolist()
    for j in np.flatnonzero(~flagged):
        for factor, enough in ((1 - 1e-9, True), (1 + 1e-9, False)):
            lowered = p.copy()
            lowered[j] = bars[j] * factor
            assert (q_values(lowered)[j] <= round(fdr, 12)) == enough, (p, j, bars[j])


def test_a_cohort_of_the_planned_size_can_flag_one() -> None:
    least = smallest_p_value(cohort_needed(100, 1, 0.05))
    first = decide(np.array([least, *[0.5] * 99]), same(least, 100), fdr=0.05)[0]
    assert (first.verdict, first.q_value) == (Verdict.LEAKED, 0.05)


def test_silence_without_power_is_inconclusive_and_says_why() -> None:
    decisions = decide(np.full(100, 0.5), same(0.01, 100), fdr=0.05)
    assert {decision.verdict for decision in decisions} == {Verdict.INCONCLUSIVE}
    reason = decisions[0].reason
    assert reason is not None and "99 cohort identities" in reason and "1999 cohort identities" in reason


def test_silence_with_power_is_not_detected() -> None:
    decisions = decide(np.full(100, 0.5), same(1 / 2000, 100), fdr=0.05)
    assert {decision.verdict for decision in decisions} == {Verdict.NOT_DETECTED}


def test_a_discovery_gives_power_to_all_others() -> None:
    p = np.array([0.01] * 20 + [0.5] * 80)
    verdicts = [decision.verdict for decision in decide(p, same(0.01, 100), fdr=0.05)]
    assert verdicts == [Verdict.LEAKED] * 20 + [Verdict.NOT_DETECTED] * 80


def test_borrowed_evidence_is_inconclusive_and_names_whose_it_is() -> None:
    (decision,) = decide(np.array([0.5]), same(0.01, 1), fdr=0.05)
    again = explained_by(decision, "somebody")
    assert again.verdict is Verdict.INCONCLUSIVE and again.reason is not None and "somebody" in again.reason


def test_no_candidates_get_no_verdicts() -> None:
    assert decide(np.empty(0), np.empty(0), fdr=0.05) == []


def test_impossible_p_values_are_refused() -> None:
    with pytest.raises(ValueError, match="between its floor and 1"):
        decide(np.array([0.01]), np.array([0.1]), fdr=0.05)
    with pytest.raises(ValueError, match="false discovery rate"):
        decide(np.array([0.5]), np.array([0.1]), fdr=1.0)
