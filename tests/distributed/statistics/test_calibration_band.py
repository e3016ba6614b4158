"""The band of p-values that nobody's membership explains, against simulated audits."""

from __future__ import annotations

import numpy as np
import pytest

from distributed.statistics.calibration_band import calibration_band

M, N = 12, 50


def simulated(worlds: int = 20_000) -> np.ndarray:
    """Sorted p-values of M candidates exchangeable with N in the cohort, (worlds, M)."""
    generator = np.random.default_rng(0)
    scores = generator.random((worlds, M + N))
    at_least = (scores[:, None, M:] >= scores[:, :M, None]).sum(axis=2)
    return np.sort((1 + at_least) / (N + 1), axis=1)


def test_it_holds_what_it_says() -> None:
    band = calibration_band(np.arange(1, M + 1), M, N)
    p = simulated()
    low, high = np.quantile(p, [0.025, 0.975], axis=0)
    step = 1 / (N + 1)
    assert np.abs(band.low - low).max() <= step + 1e-9
    assert np.abs(band.high - high).max() <= step + 1e-9
    inside = ((p >= band.low) & (p <= band.high)).mean(axis=0)
    assert (inside >= 0.945).all() and (inside <= 1).all()
    assert band.expected == pytest.approx(p.mean(axis=0), abs=0.03)


def test_a_large_cohort_and_many_candidates_are_no_trouble() -> None:
    band = calibration_band(np.array([1, 500, 10_000]), 10_000, 100_000)
    assert (band.low <= band.expected).all() and (band.expected <= band.high).all()
    assert band.low[0] >= 1 / 100_001


@pytest.mark.parametrize(("ranks", "n"), [([0], 5), ([4], 5), ([1], 0), ([], 5)])
def test_what_makes_no_sense_is_refused(ranks: list[int], n: int) -> None:
    with pytest.raises(ValueError, match="ranks"):
        calibration_band(np.array(ranks, np.int64), 3, n)
