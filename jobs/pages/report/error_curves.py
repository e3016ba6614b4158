"""ROC and precision-recall, from the DET curve of an evaluation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from schemas.run.results import EvaluationResult

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ErrorCurves:
    """ROC: fpr and tpr, both rising. Precision at each recall, by rising recall."""

    fpr: Floats
    tpr: Floats
    recall: Floats
    precision: Floats


def error_curves(evaluation: EvaluationResult) -> ErrorCurves:
    """The operating points of the DET curve, as rates of other names; both ends of the ROC are added.

    The DET curve begins at the largest true-positive rate without a false positive, if there is one, and ends
    at the smallest false-positive rate that misses nobody: what it leaves out is on straight lines.
    """
    order = np.lexsort((-np.asarray(evaluation.det_fnr), np.asarray(evaluation.det_fpr)))
    fpr, tpr = np.asarray(evaluation.det_fpr)[order], 1 - np.asarray(evaluation.det_fnr)[order]
    true, false = tpr * evaluation.members, fpr * evaluation.non_members
    chosen = true + false > 0
    precision = true[chosen] / (true + false)[chosen]
    return ErrorCurves(
        np.concatenate([[0.0], fpr, [1.0]]),
        np.concatenate([[0.0], tpr, [1.0]]),
        np.concatenate([[0.0], tpr[chosen]]),
        np.concatenate([precision[:1], precision]),
    )
