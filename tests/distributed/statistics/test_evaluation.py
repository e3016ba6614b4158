from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, norm
from sklearn.metrics import average_precision_score, det_curve, roc_auc_score, roc_curve

from distributed.statistics import evaluation
from distributed.statistics.evaluation import DET_POINTS, evaluate
from distributed.statistics.similarity import Floats

CASES = st.lists(st.tuples(st.integers(0, 6).map(float), st.booleans()), min_size=2, max_size=30).filter(
    lambda rows: len({member for _, member in rows}) == 2
)


def labelled(
    m: int, shift: float, seed: int = 0
) -> tuple[Floats, np.ndarray[tuple[int], np.dtype[np.bool_]]]:
    random = np.random.default_rng(seed)
    member = np.arange(m) % 2 == 0
    return random.standard_normal(m) + shift * member, member


def test_perfect_scores_are_perfect() -> None:
    scores, member = labelled(2000, 100.0)
    result = evaluate(scores, member, seed=0, resamples=20)
    assert (result.members, result.non_members) == (1000, 1000)
    assert result.det == evaluation.Det((0.0,), (0.0,))
    least = binomtest(1000, 1000).proportion_ci(0.95, method="exact").low
    assert (result.auc.value, result.auc.high) == (1.0, 1.0) and np.isclose(result.auc.low, least)
    assert (result.eer.value, result.eer.low) == (0.0, 0.0) and np.isclose(result.eer.high, 1 - least)
    assert result.average_precision.high == 1.0 and 0.9 < result.average_precision.low < 1
    assert [(at.bound, at.resolved) for at in result.tpr_at_fpr] == [
        (0.01, True),
        (0.001, True),
        (1e-4, False),
    ]
    first = result.tpr_at_fpr[0].tpr
    assert first is not None and (first.value, first.high) == (1.0, 1.0) and np.isclose(first.low, least)


def test_ten_above_ten_prove_little() -> None:
    """Of two normal distributions whose AUC is the lower limit, so many are never more often in order."""
    member = np.arange(20) < 10
    perfect = evaluate(np.where(member, 2.0, 1.0) + np.arange(20) / 100, member, seed=0, resamples=5)
    assert np.isclose(perfect.auc.low, 0.025**0.1)
    reversed_ = evaluate(np.where(member, 1.0, 2.0), member, seed=0, resamples=5)
    assert np.allclose((reversed_.auc.low, reversed_.auc.high), (0.0, 1 - 0.025**0.1))
    assert reversed_.eer.low == perfect.auc.low and reversed_.eer.high == 1.0
    random = np.random.default_rng(0)
    shift = 2**0.5 * norm.ppf(perfect.auc.low)
    rows = random.standard_normal((4000, 20)) + shift * member
    assert (rows[:, :10].min(axis=1) > rows[:, 10:].max(axis=1)).mean() < 0.025


def test_the_least_average_precision_is_that_of_the_worst_curve() -> None:
    """The area under precision by recall, where the FPR is the bound's everywhere."""
    tpr = (np.arange(200_000) + 0.5) / 200_000
    eer = 1 - evaluation.least_auc(16, 24)
    fpr = np.where(tpr <= 1 - eer, eer, 1.0)
    worst = (16 * tpr / (16 * tpr + 24 * fpr)).mean()
    member = np.arange(40) < 16
    result = evaluate(member.astype(np.float64), member, seed=0, resamples=5)
    assert result.average_precision.low == pytest.approx(worst, abs=1e-4)


def test_values_equal_scikit_learn() -> None:
    scores, member = labelled(500, 1.0)
    result = evaluate(scores, member, seed=0, resamples=50)
    assert result.auc.value == pytest.approx(roc_auc_score(member, scores), rel=1e-12)
    assert result.average_precision.value == pytest.approx(average_precision_score(member, scores), rel=1e-12)
    for estimate in (result.auc, result.average_precision, result.eer):
        assert estimate.low < estimate.value < estimate.high


def test_tpr_at_fpr_equals_its_definition_with_ties() -> None:
    scores, member = labelled(800, 1.5)
    scores = np.round(scores, 1)
    result = evaluate(scores, member, seed=0, resamples=5)
    for at in result.tpr_at_fpr:
        allowed = [
            (scores[member] >= threshold).mean()
            for threshold in [*np.unique(scores), np.inf]
            if (scores[~member] >= threshold).mean() <= at.bound
        ]
        assert (at.tpr is None) == (at.bound < 1 / 400)
        assert at.tpr is None or at.tpr.value == max(allowed)


def test_a_rate_that_too_few_non_members_cannot_resolve_is_refused() -> None:
    scores, member = labelled(200, 1.0)
    result = evaluate(scores, member, seed=0, resamples=5)
    assert [at.tpr is None for at in result.tpr_at_fpr] == [False, True, True]
    scores, member = labelled(198, 1.0)
    assert not any(at.resolved for at in evaluate(scores, member, seed=0, resamples=5).tpr_at_fpr)


def test_the_interval_of_a_rate_is_no_shorter_than_the_exact_one() -> None:
    scores, member = labelled(200, 0.0)
    scores[member] = np.where(np.arange(100) < 3, 9.0, -9.0)
    tpr = evaluate(scores, member, seed=0, resamples=50).tpr_at_fpr[0].tpr
    exact = binomtest(3, 100).proportion_ci(0.95, method="exact")
    assert tpr is not None and tpr.value == 0.03
    assert tpr.low <= exact.low + 1e-9 and tpr.high >= exact.high - 1e-9


def crossing(scores: Floats, member: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> float:
    """The equal error rate by bisection along the line through scikit-learn's operating points."""
    fpr, tpr, _ = roc_curve(member, scores, drop_intermediate=False)
    place, low, high = np.arange(len(fpr), dtype=np.float64), 0.0, len(fpr) - 1.0
    for _ in range(60):
        middle = (low + high) / 2
        excess = np.interp(middle, place, fpr) - (1 - np.interp(middle, place, tpr))
        low, high = (low, middle) if excess >= 0 else (middle, high)
    return float(np.interp(high, place, fpr))


@given(rows=CASES)
def test_the_equal_error_rate_is_where_the_curve_crosses(rows: list[tuple[float, bool]]) -> None:
    scores, member = np.array([score for score, _ in rows]), np.array([member for _, member in rows])
    result = evaluate(scores, member, seed=0, resamples=3)
    assert result.eer.value == pytest.approx(crossing(scores, member), abs=1e-9)
    assert result.auc.value == pytest.approx(roc_auc_score(member, scores), abs=1e-12)
    assert result.average_precision.value == pytest.approx(average_precision_score(member, scores), abs=1e-12)


@pytest.mark.parametrize(
    ("members", "others", "eer"),
    [
        ([4, 3, 2, 1], [0, 0, 0], 0.0),
        ([1, 1, 1], [1, 1], 0.5),
        ([0, 0], [1, 1], 1.0),
        ([5, 4, 3, 1], [2, 2, 0, 0], 0.25),  # at 3: FPR 0, FNR 1/4; at 2: FPR 1/2, FNR 1/4
        ([9, 5, 5, 1], [5, 5, 1, 1], 0.375),  # a tie: from (0, 3/4) to (1/2, 1/4), crossed at 3/8
    ],
)
def test_known_equal_error_rates(members: list[int], others: list[int], eer: float) -> None:
    scores = np.array(members + others, dtype=np.float64)
    member = np.arange(len(scores)) < len(members)
    assert evaluate(scores, member, seed=0, resamples=2).eer.value == pytest.approx(eer, abs=1e-12)


def test_random_scores_err_half_the_time() -> None:
    eer = evaluate(*labelled(4000, 0.0), seed=0, resamples=50).eer
    assert eer.low <= 0.5 <= eer.high and eer.high - eer.low < 0.08


def test_resamples_have_the_figures_that_scikit_learn_gives_them(monkeypatch: pytest.MonkeyPatch) -> None:
    scores, member = labelled(60, 1.0)
    scores = np.round(scores, 1)
    random, drawn = np.random.default_rng(7), []
    for _ in range(40):
        sides = np.flatnonzero(member), np.flatnonzero(~member)
        rows = np.concatenate([random.choice(side, len(side)) for side in sides])
        drawn.append((scores[rows], member[rows]))
    for at_once in (1, 10**6):
        monkeypatch.setattr(evaluation, "COUNTS_AT_ONCE", at_once)
        result = evaluate(scores, member, seed=7, resamples=40)
        for estimate, figure in (
            (result.auc, lambda s, t: roc_auc_score(t, s)),
            (result.average_precision, lambda s, t: average_precision_score(t, s)),
            (result.eer, crossing),
        ):
            expected = np.quantile([figure(*resample) for resample in drawn], [0.025, 0.975])
            np.testing.assert_allclose([estimate.low, estimate.high], expected, atol=1e-9)


def test_a_short_det_curve_is_whole_and_a_long_one_is_thinned() -> None:
    scores, member = labelled(100, 1.0)
    det = evaluate(scores, member, seed=0, resamples=2).det
    fpr, fnr, _ = det_curve(member, scores)
    assert (list(det.fpr), list(det.fnr)) == (fpr.tolist(), fnr.tolist())
    scores, member = labelled(6000, 1.0)
    det = evaluate(scores, member, seed=0, resamples=2).det
    fpr, fnr, _ = det_curve(member, scores)
    assert DET_POINTS / 2 < len(det.fpr) == len(det.fnr) <= DET_POINTS
    points = list(zip(fpr.tolist(), fnr.tolist(), strict=True))
    kept = list(zip(det.fpr, det.fnr, strict=True))
    assert set(kept) <= set(points) and (kept[0], kept[-1]) == (points[0], points[-1])
    # Thinning hides no stretch: what the kept points give between them is near the whole curve.
    between = np.interp(fpr, det.fpr[::-1], det.fnr[::-1])
    assert np.abs(between - fnr).max() < 0.02
    assert sum(rate <= 0.01 for rate in det.fpr) >= 20


def test_the_seed_decides_the_intervals() -> None:
    scores, member = labelled(100, 1.0)
    first = evaluate(scores, member, seed=1, resamples=50)
    assert evaluate(scores, member, seed=1, resamples=50) == first
    assert evaluate(scores, member, seed=2, resamples=50).auc != first.auc


def test_intervals_cover_the_truth() -> None:
    truth = 0.7602499389065233  # Phi(1 / sqrt 2)
    intervals = [evaluate(*labelled(120, 1.0, seed), seed=seed, resamples=50).auc for seed in range(20)]
    assert sum(interval.low <= truth <= interval.high for interval in intervals) >= 16


def test_one_class_is_refused() -> None:
    with pytest.raises(ValueError, match="0 non-members"):
        evaluate(np.arange(3.0), np.ones(3, dtype=np.bool_), seed=0)
    with pytest.raises(ValueError, match="finite"):
        evaluate(np.array([np.nan, 1.0]), np.array([True, False]), seed=0)
