"""`cleared at u`: who scores lower than people planted in so many samples."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binom, false_discovery_control

from distributed.membership.planted.clearance import (
    CLEARED_SHARES,
    cleared_at,
    clearing_p_values,
    group_p_values,
)
from distributed.membership.planted.likeness import Likeness
from distributed.membership.planted.reach import GroupReach
from distributed.membership.planted.sensitivity import DRAWS
from distributed.statistics.calibration import Q_DECIMALS
from distributed.statistics.power import LEAST_PEOPLE, STEPS, Power
from jobs.benchmarks.worlds.simulated import RECOGNIZER, World, judge_world, worlds_like
from schemas.spec.membership import MembershipSpec

WORLD = World(1, candidates=40, cohort=300, photos=(2, 2), samples=1500, leaked=8, rate=0.004)


def reach(people: int, samples: int = 1000) -> GroupReach:
    """A person's score is how many of their samples there are."""
    planted = np.broadcast_to(np.array(STEPS, float), (people, DRAWS, len(STEPS)))
    return GroupReach(samples, np.zeros(999), np.zeros(people), planted, Likeness(1.0, "spec"))


def test_a_p_value_is_the_chance_of_so_few_samples() -> None:
    scores = np.array([-1.0, 0.0, 1.0, 2.0, 1000.0])
    rows, row = group_p_values(scores, reach(99))
    p_values = rows[row]
    for share in (1e-4, 1e-3, 3e-3):
        place = int(np.abs(np.log(CLEARED_SHARES / share)).argmin())
        chance = binom.cdf([-1, 0, 1, 2, 1000], 1000, CLEARED_SHARES[place])
        assert p_values[:, place] == pytest.approx((1 + 99 * chance) / 100)
    assert (np.diff(p_values, axis=1) <= 0).all()


def test_without_people_enough_nobody_is_cleared() -> None:
    assert (group_p_values(np.array([-1.0]), reach(LEAST_PEOPLE - 1))[0] == 1).all()
    assert group_p_values(np.array([-1.0]), reach(LEAST_PEOPLE))[0].max() < 0.05


def test_who_is_cleared_at_a_share_is_at_all_larger_ones() -> None:
    shares = np.array([1e-3, 1e-2])
    falling = np.where(shares[:, None] * 0.999 <= CLEARED_SHARES, 0.01, 0.5)
    assert cleared_at(falling) == pytest.approx(shares)
    assert np.isnan(cleared_at(np.full_like(falling, 0.06))).all()
    # With another person who is never cleared, 0.04 is too much for one of two.
    both = np.stack([np.full(len(CLEARED_SHARES), 0.04), np.ones(len(CLEARED_SHARES))])
    assert np.isnan(cleared_at(both)).all() and not np.isnan(cleared_at(both[:1])).any()


def test_people_with_the_same_p_values_are_cleared_as_each_by_themselves() -> None:
    random = np.random.default_rng(2)
    rows = np.sort(random.random((40, len(CLEARED_SHARES))) ** 6, axis=1)[:, ::-1]
    people = random.integers(0, 4, len(rows))
    each = cleared_at(rows.repeat(people, axis=0))
    assert np.array_equal(cleared_at(rows, people).repeat(people), each, equal_nan=True)
    for place, share in enumerate(CLEARED_SHARES):
        q = false_discovery_control(rows[:, place].repeat(people))
        assert (q.round(Q_DECIMALS) <= 0.05).tolist() == (each <= share).tolist()
    assert 2 < len(set(each[~np.isnan(each)].tolist())) < each.size


def test_few_leaked_people_are_cleared_at_their_own_share(tmp_path: Path) -> None:
    false, cleared = 0, []
    for number, world in enumerate(worlds_like(WORLD, 5)):
        (tmp_path / str(number)).mkdir()
        judged = judge_world(world, tmp_path / str(number), scores=("margin",), likeness=1.0)
        decisions = judged.judgements[0].decisions
        shares = np.array([np.nan if of.cleared_at is None else of.cleared_at for of in decisions])
        false += int((shares[judged.leaked()] <= world.rate).sum())
        cleared.append(np.nanmedian(shares[~judged.leaked()]))
    # Of 40 people, each with a chance of 0.05 or less: 7 or more have a chance of 0.0034.
    assert false < 7
    # No method can do better than about 3/N.
    assert 3 / 1500 < np.mean(cleared) < 5 / 1500


def test_a_score_of_several_recognisers_takes_the_largest_p_value(tmp_path: Path) -> None:
    judged = judge_world(replace(WORLD, samples=500), tmp_path, scores=("margin",), likeness=1.0)
    (judgement,), known = judged.judgements, judged.assessment.reach
    membership = MembershipSpec.model_validate({"scores": ["margin", "consensus"]})
    groups = known[RECOGNIZER, "margin"]
    blind = [replace(group, planted=np.full_like(group.planted, -1e9)) for group in groups]
    other = replace(judgement, recognizer="blind")
    combined = replace(judgement, recognizer="all", score_name="consensus")
    both = {**known, ("blind", "margin"): blind}
    judgements = [judgement, other, combined]
    own, largest = (
        rows[place]
        for rows, place in (
            clearing_p_values(judged.frame, of, judgements, both, membership) for of in (judgement, combined)
        )
    )
    assert own.min() < 0.05 and (largest >= own).all() and largest.min() > 0.9


def test_most_people_are_found_from_a_larger_share_on_than_the_mean_person() -> None:
    """90 people are found by one sample, 10 by 12 of them; of 100 the 95th is one of these."""
    first = np.zeros((100, len(STEPS)))
    first[:90, 0], first[90:, STEPS.index(12)] = 1.0, 1.0
    power = Power(1000, first)
    shares = power.person_shares(0.95)
    for person, least in ((0, 1), (99, 12)):
        chances = binom.sf(least - 1, 1000, shares[person] * np.array([1.0, 0.97]))
        assert chances[0] >= 0.95 > chances[1]
    most = power.for_most(0.95)
    assert most.share == shares[99] == most.high and most.low == shares[0]
    first[95:] = 0.0
    assert Power(1000, first).for_most(0.95).high is None
