"""ROC and precision-recall from a DET curve, against scikit-learn's own."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_curve, roc_curve

from distributed.statistics.evaluation import evaluate
from jobs.pages.report.error_curves import error_curves
from schemas.run.results import EvaluationResult, Interval

UNUSED = Interval(value=0, low=0, high=0)


@pytest.mark.parametrize("shift", [0.0, 1.0, 9.0])
@pytest.mark.parametrize("seed", range(5))
def test_they_are_those_of_the_scores(seed: int, shift: float) -> None:
    generator = np.random.default_rng(seed)
    member = np.arange(60) < 20
    scores: NDArray[np.float64] = generator.normal(shift * member.astype(np.float64)).round(1)
    det = evaluate(scores, member, seed=0, resamples=1).det
    curves = error_curves(
        EvaluationResult(
            members=20,
            non_members=40,
            roc_auc=UNUSED,
            average_precision=UNUSED,
            equal_error_rate=UNUSED,
            tpr_at_fpr=[],
            det_fpr=list(det.fpr),
            det_fnr=list(det.fnr),
        )
    )
    fpr, tpr, _ = roc_curve(member, scores)
    grid = np.linspace(0.001, 1, 500)
    assert np.interp(grid, curves.fpr, curves.tpr) == pytest.approx(np.interp(grid, fpr, tpr))
    assert (np.diff(curves.fpr) >= 0).all() and (np.diff(curves.tpr) >= 0).all()
    precision, recall, _ = precision_recall_curve(member, scores)
    points = {(round(r, 9), round(p, 9)) for r, p in zip(recall, precision, strict=True)}
    ours = list(zip(curves.recall[1:], curves.precision[1:], strict=True))
    assert ours and {(round(r, 9), round(p, 9)) for r, p in ours} <= points
