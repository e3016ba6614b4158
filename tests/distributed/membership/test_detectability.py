"""What a silence means: `not detected` only where the audit would have flagged a person half of the time."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from distributed.membership.detectability import (
    GroupReach,
    below_half_text,
    power_alone,
    with_detectability,
)
from distributed.membership.judgement import Judgement
from distributed.statistics.allowance import allowance
from distributed.statistics.power import LARGEST_SHARE, LEAST_PEOPLE, MatedSimilarity
from jobs.benchmarks.worlds.simulated import RECOGNIZER, JudgedWorld, World, judge_world, worlds_like
from schemas.run.tables import Verdict
from schemas.spec.membership import MembershipSpec

PHOTOS = World(1, candidates=40, cohort=800, photos=(4, 4))


def judged(tmp_path: Path, world: World) -> tuple[JudgedWorld, Judgement]:
    judged_world = judge_world(world, tmp_path, scores=("max",))
    return judged_world, judged_world.judgements[0]


def reasons(judgement: Judgement, verdict: Verdict) -> Counter[str | None]:
    return Counter(decision.reason for decision in judgement.decisions if decision.verdict is verdict)


def test_a_chance_below_a_half_is_never_told_as_a_half() -> None:
    assert [below_half_text(chance) for chance in (0.0712, 0.416, 0.496, 0.4999)] == [
        "0.071",
        "0.42",
        "just under 0.5",
        "just under 0.5",
    ]


def test_forty_samples_clear_nobody(tmp_path: Path) -> None:
    """16 of 40 leak, each in 0.2 % of the samples, so that hardly one of 40 samples shows any of them."""
    _, judgement = judged(tmp_path, replace(PHOTOS, samples=40, leaked=16, rate=0.002))
    assert Verdict.NOT_DETECTED not in judgement.verdicts()
    (reason,) = reasons(judgement, Verdict.INCONCLUSIVE)
    assert reason is not None and "40 compared samples are too few" in reason
    assert "with an estimated chance of 0.3" in reason


def test_who_is_not_detected_would_have_been_flagged_at_the_share_that_is_named(tmp_path: Path) -> None:
    """A null world names a share; of people who leak at just that share, half are flagged."""
    world = replace(PHOTOS, samples=2000, quality="mixed")
    (tmp_path / "null").mkdir()
    _, silent = judged(tmp_path / "null", world)
    shares = {
        decision.detectable_share for decision in silent.decisions if decision.verdict is Verdict.NOT_DETECTED
    }
    (share,) = shares
    assert share is not None and 1 / 2000 < share * 2 < 2 * LARGEST_SHARE
    flagged = []
    for number, leaky in enumerate(worlds_like(replace(world, leaked=1, rate=share), 20)):
        (tmp_path / str(number)).mkdir()
        judged_world, judgement = judged(tmp_path / str(number), leaky)
        flagged += judgement.flagged()[judged_world.leaked()].tolist()
    assert np.mean(flagged) > 0.5 - 2 * np.sqrt(0.25 / len(flagged))
    (reason,) = reasons(silent, Verdict.NOT_DETECTED)
    assert reason is not None and "had this person been in" in reason and "if samples resemble" in reason


def test_without_two_photos_of_anybody_it_is_not_known(tmp_path: Path) -> None:
    _, judgement = judged(tmp_path, replace(PHOTOS, photos=(1, 1)))
    (reason,) = reasons(judgement, Verdict.INCONCLUSIVE)
    assert reason is not None and reason.startswith("0 of the 800 cohort identities have two photos")
    assert Verdict.NOT_DETECTED not in judgement.verdicts()


def test_a_recogniser_that_does_not_match_people_is_the_reason(tmp_path: Path) -> None:
    judged_world, _ = judged(tmp_path, PHOTOS)
    membership = MembershipSpec.model_validate({"scores": ["max"]})
    reach = judged_world.assessment.reach[RECOGNIZER]
    blind = [
        replace(group, mated=replace(group.mated, similarity=-group.mated.similarity)) for group in reach
    ]
    (judgement,) = with_detectability(
        judged_world.frame, judged_world.judgements, {RECOGNIZER: blind}, membership
    )
    (reason,) = reasons(judgement, Verdict.INCONCLUSIVE)
    assert reason is not None and "0% have two photos that are similar enough" in reason
    # A score that combines recognisers has the power of the weakest one.
    both = {RECOGNIZER: reach, "blind": blind}
    combined = replace(judged_world.judgements[0], recognizer="all")
    (judgement,) = with_detectability(judged_world.frame, [combined], both, membership)
    assert Verdict.NOT_DETECTED not in judgement.verdicts()


def test_plan_bounds_what_the_run_says(tmp_path: Path) -> None:
    judged_world, _ = judged(tmp_path, replace(PHOTOS, samples=500, quality="mixed"))
    allowed = allowance(judged_world.frame.groups, fdr=0.05, correction="bh")
    power = power_alone(judged_world.assessment.reach[RECOGNIZER], allowed, 0.05)
    assert power is not None and 0.1 < power.match_rates.mean() < 0.95
    for share in (1e-5, 1e-3, 1e-2):
        assert 0 < power.at(share) < allowed.power_at_most(500).at(share)


def test_a_cohort_too_small_to_flag_one_has_no_power_at_all(tmp_path: Path) -> None:
    judged_world, _ = judged(tmp_path, replace(PHOTOS, cohort=300, samples=500))
    reach = judged_world.assessment.reach[RECOGNIZER]
    allowed = allowance(judged_world.frame.groups, fdr=0.05, correction="bh")
    power = power_alone(reach, allowed, 0.05)
    assert allowed.best.flaggable_from == 3 and power is not None
    assert power.at(1.0) == 0.0 and power.smallest_share(0.5) is None


@pytest.mark.parametrize(("people", "known"), [(LEAST_PEOPLE - 1, False), (LEAST_PEOPLE, True)])
def test_few_people_with_two_photos_say_nothing_of_power(people: int, known: bool) -> None:
    mated = MatedSimilarity(np.ones(people), np.arange(people, dtype=np.int64))
    assert (GroupReach(1000, np.zeros(999), mated).power(0.05) is not None) == known
