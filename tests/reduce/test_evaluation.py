from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from distributed.reduce.evaluation import Estimate, evaluate
from distributed.reduce.similarity import Floats


def labelled(
    m: int, shift: float, seed: int = 0
) -> tuple[Floats, np.ndarray[tuple[int], np.dtype[np.bool_]]]:
    random = np.random.default_rng(seed)
    member = np.arange(m) % 2 == 0
    return random.standard_normal(m) + shift * member, member


def test_perfect_scores_are_perfect() -> None:
    scores, member = labelled(2000, 100.0)
    result = evaluate(scores, member, seed=0, resamples=20)
    perfect = Estimate(1.0, 1.0, 1.0)
    assert (result.members, result.non_members) == (1000, 1000)
    assert result.auc == result.average_precision == perfect
    assert [(at.bound, at.tpr, at.resolved) for at in result.tpr_at_fpr] == [
        (0.01, perfect, True),
        (0.001, perfect, True),
    ]


def test_values_equal_scikit_learn() -> None:
    scores, member = labelled(500, 1.0)
    result = evaluate(scores, member, seed=0, resamples=50)
    assert result.auc.value == pytest.approx(roc_auc_score(member, scores), rel=1e-12)
    assert result.average_precision.value == average_precision_score(member, scores)
    for estimate in (result.auc, result.average_precision):
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
        assert at.tpr.value == max(allowed)


def test_a_rate_that_too_few_non_members_cannot_resolve_is_marked() -> None:
    scores, member = labelled(200, 1.0)
    result = evaluate(scores, member, seed=0, resamples=5)
    assert [at.resolved for at in result.tpr_at_fpr] == [True, False]
    assert result.tpr_at_fpr[1].tpr.value == (scores[member] > scores[~member].max()).mean()


def test_the_seed_decides_the_intervals() -> None:
    scores, member = labelled(100, 1.0)
    first = evaluate(scores, member, seed=1, resamples=50)
    assert evaluate(scores, member, seed=1, resamples=50) == first
    assert evaluate(scores, member, seed=2, resamples=50).auc != first.auc


def test_intervals_cover_the_truth() -> None:
    truth = 0.7602499389065233  # Phi(1 / sqrt 2)
    intervals = [evaluate(*labelled(120, 1.0, seed), seed=seed, resamples=50).auc for seed in range(20)]
    assert sum(one.low <= truth <= one.high for one in intervals) >= 16


def test_one_class_is_refused() -> None:
    with pytest.raises(ValueError, match="0 non-members"):
        evaluate(np.arange(3.0), np.ones(3, dtype=np.bool_), seed=0)
    with pytest.raises(ValueError, match="finite"):
        evaluate(np.array([np.nan, 1.0]), np.array([True, False]), seed=0)
