"""How well a score tells the labelled candidates apart, for `results.json`."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from distributed.statistics.evaluation import Estimate, evaluate
from schemas.run.results import EvaluationResult, Interval, TprAtFprResult

EVALUATION_SEED = 0


def _labelled(
    names: list[str], scores: NDArray[np.float64], labels: Mapping[str, bool]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    rows = [row for row, name in enumerate(names) if name in labels]
    return scores[rows], np.array([labels[names[row]] for row in rows], bool)


def auc(names: list[str], scores: NDArray[np.float64], labels: Mapping[str, bool]) -> float:
    chosen, member = _labelled(names, scores, labels)
    return evaluate(chosen, member, seed=EVALUATION_SEED, resamples=1).auc.value


def evaluation_of(
    names: list[str], scores: NDArray[np.float64], labels: Mapping[str, bool]
) -> EvaluationResult:
    """The evaluation over the labelled candidates."""
    chosen, member = _labelled(names, scores, labels)
    evaluation = evaluate(chosen, member, seed=EVALUATION_SEED)
    return EvaluationResult(
        members=evaluation.members,
        non_members=evaluation.non_members,
        roc_auc=interval(evaluation.auc),
        average_precision=interval(evaluation.average_precision),
        equal_error_rate=interval(evaluation.eer),
        tpr_at_fpr=[
            TprAtFprResult(fpr=point.bound, tpr=point.tpr and interval(point.tpr), resolved=point.resolved)
            for point in evaluation.tpr_at_fpr
        ],
        det_fpr=list(evaluation.det.fpr),
        det_fnr=list(evaluation.det.fnr),
    )


def interval(estimate: Estimate) -> Interval:
    return Interval(value=estimate.value, low=estimate.low, high=estimate.high)
