from __future__ import annotations

import numpy as np

from distributed.statistics.drift import drift


def test_sides_that_differ_are_warned_of_and_others_are_not() -> None:
    random = np.random.default_rng(0)
    a, b = random.normal(0, 1, 200), random.normal(0, 1, 400)
    same, other = drift("quality", a, b), drift("quality", a + 1, b)
    assert same is not None and not same.warns
    assert other is not None and other.warns and other.candidates > other.cohort


def test_what_is_unknown_is_left_out() -> None:
    assert drift("quality", np.full(5, np.nan), np.ones(5)) is None
    change = drift("quality", np.array([np.nan, 2.0, 2.0]), np.array([2.0, 2.0]))
    assert change is not None and (change.candidates, change.p_value) == (2.0, 1.0)
