from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import false_discovery_control

from distributed.membership.verdicts import decide
from distributed.statistics.calibration import benjamini_hochberg, cohort_needed, smallest_p_value
from distributed.statistics.discoveries import benjamini_yekutieli
from distributed.statistics.flagging import Correction, flagging_p_values, storey_cost
from distributed.statistics.similarity import Floats
from schemas.run.tables import Verdict

CORRECTIONS: tuple[Correction, ...] = ("bh", "storey")
FDRS = st.sampled_from([0.01, 0.05, 0.1, 0.25, 0.5])


def same(floor: float, m: int) -> Floats:
    return np.full(m, floor)


def q_by_definition(p: Floats, floor: Floats, correction: Correction) -> Floats:
    if correction == "by":
        return benjamini_yekutieli(p)
    if correction == "bh":
        return benjamini_hochberg(p)
    steps = round(1 / floor[0])
    half = math.ceil(steps / 2) / steps
    share = min(1.0, (1 + (p >= half - 1e-9).sum()) / (len(p) * (1 - half)))
    share *= storey_cost(len(p), steps - 1)
    q: Floats = np.minimum(1.0, share * false_discovery_control(p))
    return q.round(12)


def brute_force(p: Floats, floor: Floats, fdr: float, correction: Correction) -> list[Verdict]:
    flagged = q_by_definition(p, floor, correction) <= fdr if len(p) else np.empty(0)
    verdicts = []
    for j in range(len(p)):
        lowered = p.copy()
        lowered[j] = floor[j]
        enough = q_by_definition(lowered, floor, correction)[j] <= fdr
        silent = Verdict.NOT_DETECTED if enough else Verdict.INCONCLUSIVE
        verdicts.append(Verdict.LEAKED if flagged[j] else silent)
    return verdicts


@given(
    cohorts=st.lists(st.integers(2, 400), min_size=1, max_size=3),
    fdr=FDRS,
    correction=st.sampled_from(["bh", "by", "storey"]),
    data=st.data(),
)
@settings(deadline=None, max_examples=500)
def test_verdicts_equal_the_brute_force_oracle(
    cohorts: list[int], fdr: float, correction: Correction, data: st.DataObject
) -> None:
    known = cohorts[:1] if correction == "storey" else cohorts
    sizes = np.array(data.draw(st.lists(st.sampled_from(known), max_size=25)), dtype=np.int64)
    ranks = [data.draw(st.integers(1, min(4, n + 1)) | st.integers(1, n + 1)) for n in sizes.tolist()]
    p, floor = np.array(ranks, dtype=np.float64) / (sizes + 1), 1 / (sizes + 1)
    _, group = np.unique(sizes, return_inverse=True)
    decisions = decide(p, floor, fdr=fdr, correction=correction, group=group.astype(np.int64))
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
    p, floor = np.array(ranks, dtype=np.float64) / 60, np.full(len(ranks), 1 / 60)
    flagged = q_by_definition(p, floor, correction) <= round(fdr, 12)
    bars = flagging_p_values(p, floor, fdr, correction)
    assert np.isnan(bars).tolist() == flagged.tolist()
    for j in np.flatnonzero(~flagged):
        for factor, enough in ((1 - 1e-9, True), (1 + 1e-9, False)):
            lowered = p.copy()
            lowered[j] = bars[j] * factor
            assert (q_by_definition(lowered, floor, correction)[j] <= round(fdr, 12)) == enough, (p, j)


@given(ranks=st.lists(st.integers(1, 60), min_size=1, max_size=12), fdr=FDRS)
@settings(deadline=None, max_examples=100)
def test_by_storey_the_largest_step_that_would_have_been_enough_is_below_the_bar(
    ranks: list[int], fdr: float
) -> None:
    p, floor = np.array(ranks, dtype=np.float64) / 60, np.full(len(ranks), 1 / 60)
    flagged = q_by_definition(p, floor, "storey") <= round(fdr, 12)
    bars = flagging_p_values(p, floor, fdr, "storey")
    assert np.isnan(bars).tolist() == flagged.tolist()
    for j in np.flatnonzero(~flagged):
        for step in range(1, 30):
            lowered = p.copy()
            lowered[j] = step / 60
            enough = q_by_definition(lowered, floor, "storey")[j] <= round(fdr, 12)
            assert enough == (step / 60 <= bars[j] * (1 + 1e-9)), (p, j, step, bars[j])


def test_storey_flags_more_where_many_are_members_and_wants_one_cohort() -> None:
    p = np.array([0.01] * 60 + [0.045] * 20 + [0.6, 0.9] * 10)
    counts = [
        sum(
            decision.verdict is Verdict.LEAKED
            for decision in decide(p, same(0.01, 100), fdr=0.05, correction=name)
        )
        for name in CORRECTIONS
    ]
    assert counts == [60, 80]
    with pytest.raises(ValueError, match="one cohort"):
        decide(np.array([0.5, 0.5]), np.array([0.1, 0.2]), fdr=0.05, correction="storey")


def test_a_cohort_of_the_planned_size_can_flag_one() -> None:
    least = smallest_p_value(cohort_needed(100, 1, 0.05))
    first = decide(np.array([least, *[0.5] * 99]), same(least, 100), fdr=0.05)[0]
    assert (first.verdict, first.q_value) == (Verdict.LEAKED, 0.05)


def test_silence_without_power_is_inconclusive_and_says_why() -> None:
    decisions = decide(np.full(100, 0.5), same(0.01, 100), fdr=0.05)
    assert {decision.verdict for decision in decisions} == {Verdict.INCONCLUSIVE}
    reason = decisions[0].reason
    assert reason is not None and "a cohort of 99 people" in reason and "takes a cohort of 1,999" in reason


def test_silence_with_power_is_not_detected() -> None:
    decisions = decide(np.full(100, 0.5), same(1 / 2000, 100), fdr=0.05)
    assert {decision.verdict for decision in decisions} == {Verdict.NOT_DETECTED}


def test_a_discovery_gives_power_to_all_others() -> None:
    p = np.array([0.01] * 20 + [0.5] * 80)
    verdicts = [decision.verdict for decision in decide(p, same(0.01, 100), fdr=0.05)]
    assert verdicts == [Verdict.LEAKED] * 20 + [Verdict.NOT_DETECTED] * 80


def test_no_candidates_get_no_verdicts() -> None:
    assert list(decide(np.empty(0), np.empty(0), fdr=0.05)) == []


def test_impossible_p_values_are_refused() -> None:
    with pytest.raises(ValueError, match="between its floor and 1"):
        decide(np.array([0.01]), np.array([0.1]), fdr=0.05)
    with pytest.raises(ValueError, match="false discovery rate"):
        decide(np.array([0.5]), np.array([0.1]), fdr=1.0)
