"""The test of roles: its error rate on exchangeable people, and its power on people who are not."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from distributed.statistics.people import roles
from distributed.statistics.people.roles import role_test
from distributed.statistics.similarity import Integers, Singles
from tests.support.template_worlds import unit


def world(seed: int, shift: float = 0.0, people: int = 300) -> tuple[Singles, NDArray[np.bool_], Integers]:
    """Templates, roles and the group of people of two looks, more common among candidates by `shift`."""
    random = np.random.default_rng(seed)
    candidate = np.arange(people) < people // 3
    look = random.standard_normal(32)
    group = random.random(people) < np.where(candidate, 0.5 + shift, 0.5 - shift)
    templates = random.standard_normal((people, 32)) + 0.5 * group[:, None] * look
    return unit(templates.astype(np.float32)), candidate, group.astype(np.int64)


def test_exchangeable_people_are_seldom_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roles, "PERMUTATIONS", 99)
    tests = [role_test(*world(seed)[:2], np.zeros(300, np.int64)) for seed in range(150)]
    p = np.array([test.p_value for test in tests if test is not None])
    for level in (0.05, 0.2, 0.5):
        assert (p <= level).mean() <= level + 2.5 * np.sqrt(level * (1 - level) / len(p))


def test_two_groups_mixed_otherwise_are_told_apart_unless_they_are_strata() -> None:
    overall, within = [], []
    for seed in range(6):
        templates, candidate, group = world(seed, shift=0.2, people=600)
        everybody = role_test(templates, candidate, np.zeros(600, np.int64))
        strata = role_test(templates, candidate, group)
        assert everybody is not None and strata is not None and everybody.auc > 0.55
        overall.append(everybody.p_value)
        within.append(strata.p_value)
    assert max(overall) < 0.01 and min(within) > 0.01 and np.median(within) > 0.1


def test_nothing_is_said_where_no_stratum_has_both_sides() -> None:
    templates, candidate, _ = world(1)
    assert role_test(templates, candidate, candidate.astype(np.int64)) is None
