from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distributed.statistics import similarity
from distributed.statistics.similarity import Comparer, Pairs, Templates, canonical, guard_band
from tests.support.template_worlds import similarities, world


def all_pairs(left: Templates, right: Templates) -> Pairs:
    rows, columns = np.indices((len(left), len(right))).reshape(2, -1)
    return Pairs(rows, columns, np.empty(rows.size, dtype=np.float32))


@given(seed=st.integers(0, 2**32 - 1), d=st.sampled_from([1, 2, 9, 128, 512, 2048]), positive=st.booleans())
@settings(deadline=None, max_examples=40)
def test_no_order_of_summation_leaves_the_guard_band(seed: int, d: int, positive: bool) -> None:
    templates = world(seed, people=4, n=6, d=d)
    rows = (templates.people, templates.samples)
    if positive:
        rows = (np.abs(templates.people), np.abs(templates.samples))
    left, right = Templates.of(rows[0]), Templates.of(rows[1])
    exact = canonical(left, right, all_pairs(left, right)).astype(np.float64).reshape(4, 6)
    one_by_one = np.zeros((4, 6), dtype=np.float32)
    for column in range(d):
        one_by_one += left.rounded[:, column, None] * right.rounded[None, :, column]
    for product in (left.rounded @ right.rounded.T, one_by_one):
        assert np.abs(product - exact).max() <= guard_band(d)


def test_a_pair_has_the_same_bits_in_any_block(monkeypatch: pytest.MonkeyPatch) -> None:
    templates = world(0, people=7, n=90, d=512)
    left, right = Templates.of(templates.people), Templates.of(templates.samples)
    pairs = all_pairs(left, right)
    whole = canonical(left, right, pairs)
    assert whole.reshape(7, 90).tobytes() == similarities(templates.people, templates.samples).tobytes()
    monkeypatch.setattr(similarity, "PAIRS_AT_ONCE", 1)
    assert canonical(left, right, pairs).tobytes() == whole.tobytes()


def test_pairs_above_respects_each_rows_floor() -> None:
    left = np.eye(3, dtype=np.float32)
    right = np.array([[0.5, 0.2, 0.1], [0.1, 0.4, 0.9]], dtype=np.float32)
    pairs = Comparer(right).pairs_above(left, np.array([0.5, np.inf, -np.inf]))
    assert (pairs.left.tolist(), pairs.right.tolist()) == ([0, 2, 2], [0, 0, 1])
    np.testing.assert_array_equal(pairs.similarity, np.array([0.5, 0.1, 0.9], dtype=np.float32))


@pytest.mark.parametrize("bad", [np.nan, np.inf, 0.0])
def test_a_template_without_direction_is_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="finite and not zero"):
        Templates.of(np.array([[1.0, 2.0], [bad, bad]]))


def test_templates_must_be_rows() -> None:
    with pytest.raises(ValueError, match="shape"):
        Templates.of(np.ones(4))
