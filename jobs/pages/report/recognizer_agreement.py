"""Whether the recognisers of a run agree on its candidates."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from jobs.pages.finished_run import FinishedRun, column
from schemas.run.results import ScoreResult
from schemas.run.tables import Verdict


@dataclass(frozen=True)
class RecognizerPair:
    """One score by two recognisers. first, second: scores of the same m candidates, in the same order."""

    score_name: str
    first_name: str
    second_name: str
    first: NDArray[np.float64]
    second: NDArray[np.float64]
    flagged_first: NDArray[np.bool_]
    flagged_second: NDArray[np.bool_]

    @property
    def rank_correlation(self) -> float | None:
        """Spearman's; None where a recogniser gives everybody the same score."""
        if not (np.ptp(self.first) and np.ptp(self.second)):
            return None
        return float(spearmanr(self.first, self.second).statistic)


def recognizer_pairs(run: FinishedRun) -> Iterator[RecognizerPair]:
    """Every pair of recognisers, for each score that both have."""
    for score, other in combinations(run.results.scores, 2):
        if score.score_name == other.score_name and score.recognizer != other.recognizer:
            (first, flagged_first), (second, flagged_second) = _side(run, score), _side(run, other)
            yield RecognizerPair(
                score.score_name,
                score.recognizer,
                other.recognizer,
                first,
                second,
                flagged_first,
                flagged_second,
            )


def _side(run: FinishedRun, score: ScoreResult) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    people = run.people(score).sort_by("identity")
    return column(people, "score"), np.array([v == Verdict.LEAKED for v in people["verdict"].to_pylist()])
