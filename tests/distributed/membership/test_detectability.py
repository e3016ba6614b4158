"""`not detected` only where the audit would have flagged a person with a chance of 0.95."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from distributed.membership.judgement import Judgement
from distributed.membership.planted.detectability import below_text, with_detectability
from distributed.membership.planted.likeness import ASSUMED, Likeness
from distributed.membership.planted.reach import GroupReach
from distributed.membership.planted.sensitivity import DRAWS
from distributed.membership.verdicts import Detectable
from distributed.stages.results.power import power_alone
from distributed.statistics.allowance import allowance
from distributed.statistics.power import LEAST_PEOPLE, STEPS
from jobs.benchmarks.worlds.simulated import RECOGNIZER, JudgedWorld, World, judge_world, worlds_like
from schemas.run.tables import Verdict
from schemas.spec.membership import MembershipSpec

PHOTOS = World(1, candidates=40, cohort=800, photos=(4, 4))
HEADLINE = (RECOGNIZER, "margin")
AS_PHOTOS = Likeness(1.0, "spec")


def judged(tmp_path: Path, world: World, **membership: object) -> tuple[JudgedWorld, Judgement]:
    judged_world = judge_world(world, tmp_path, **({"scores": ("margin",)} | membership))
    return judged_world, judged_world.judgements[0]


def reasons(judgement: Judgement, verdict: Verdict) -> Counter[str | None]:
    return Counter(decision.reason for decision in judgement.decisions if decision.verdict is verdict)


def detectable_of(judgement: Judgement) -> Detectable:
    (detectable,) = {decision.detectable for decision in judgement.decisions if decision.detectable}
    return detectable


def test_a_chance_below_what_is_asked_for_is_never_told_as_that() -> None:
    assert [below_text(chance) for chance in (0.0712, 0.916, 0.946, 0.9499)] == [
        "0.071",
        "0.92",
        "just under 0.95",
        "just under 0.95",
    ]


def test_forty_samples_clear_nobody(tmp_path: Path) -> None:
    """16 of 40 leak, each in 0.2 % of the samples, so that hardly one of 40 samples shows any of them."""
    _, judgement = judged(tmp_path, replace(PHOTOS, samples=40, leaked=16, rate=0.002), likeness=1.0)
    assert Verdict.NOT_DETECTED not in judgement.verdicts()
    (reason,) = reasons(judgement, Verdict.INCONCLUSIVE)
    assert reason is not None and "40 compared samples are too few" in reason
    assert "with an estimated chance of only 0.3" in reason


@pytest.mark.parametrize("quality", [pytest.param("same", marks=pytest.mark.slow), "mixed"])
def test_who_is_not_detected_would_have_been_flagged_at_the_share_that_is_named(
    tmp_path: Path, quality: str
) -> None:
    """A null world names a share; of people who leak at just that share, 95 % reach the smallest p-value."""
    world = replace(PHOTOS, samples=2000, quality=quality)  # type: ignore[arg-type]
    (tmp_path / "null").mkdir()
    _, silent = judged(tmp_path / "null", world, likeness=1.0)
    detectable = detectable_of(silent)
    assert detectable.low is not None and detectable.high is not None
    assert 1 / 2000 < detectable.low < detectable.share < detectable.high < 0.01
    flagged = []
    for number, leaky in enumerate(worlds_like(replace(world, leaked=8, rate=detectable.share), 12)):
        (tmp_path / str(number)).mkdir()
        judged_world, judgement = judged(tmp_path / str(number), leaky, likeness=1.0)
        p, floor = judgement.calibrated.p_value, judgement.calibrated.floor
        flagged += (p <= floor)[judged_world.leaked()].tolist()
    assert np.mean(flagged) > 0.95 - 2 * np.sqrt(0.95 * 0.05 / len(flagged))
    (reason,) = reasons(silent, Verdict.NOT_DETECTED)
    assert reason is not None and "if samples show at least 100 % of what a photo shows" in reason


def test_poorer_samples_are_found_from_a_larger_share_on(tmp_path: Path) -> None:
    shares = []
    for number, likeness in enumerate((1.0, 0.8, "auto")):
        (tmp_path / str(number)).mkdir()
        _, judgement = judged(
            tmp_path / str(number), replace(PHOTOS, samples=2000), likeness=likeness, detect=1.0
        )
        detectable = detectable_of(judgement)
        shares.append(detectable.share)
        if likeness == "auto":
            assert detectable.likeness == Likeness(ASSUMED, "assumed")
    assert shares == sorted(shares) and shares[0] < shares[1]


def test_a_share_above_what_the_spec_wants_is_no_answer(tmp_path: Path) -> None:
    _, judgement = judged(tmp_path, replace(PHOTOS, samples=2000), likeness=1.0, detect=1e-4)
    (reason,) = reasons(judgement, Verdict.INCONCLUSIVE)
    assert reason is not None and "a person in 100 of a million" in reason
    assert "2,000 compared samples are too few; with so many, from 1," in reason


def test_without_two_photos_of_anybody_it_is_not_known(tmp_path: Path) -> None:
    _, judgement = judged(tmp_path, replace(PHOTOS, photos=(1, 1)))
    (reason,) = reasons(judgement, Verdict.INCONCLUSIVE)
    assert reason is not None and reason.startswith("0 of the 800 people of the cohort have two photos")
    assert Verdict.NOT_DETECTED not in judgement.verdicts()


def test_a_recogniser_that_does_not_match_people_is_the_reason(tmp_path: Path) -> None:
    judged_world, _ = judged(tmp_path, PHOTOS, likeness=1.0)
    membership = MembershipSpec.model_validate({"scores": ["margin"]})
    reach = judged_world.assessment.reach
    blind = {
        HEADLINE: [replace(group, planted=np.full_like(group.planted, -1e9)) for group in reach[HEADLINE]]
    }
    (judgement,) = with_detectability(judged_world.frame, judged_world.judgements, blind, membership)
    (reason,) = reasons(judgement, Verdict.INCONCLUSIVE)
    assert reason is not None and "as only 0 of the cohort's people would be flagged however often" in reason
    # A score that combines recognisers has the power of the weakest one.
    both = {**reach, ("blind", "margin"): blind[HEADLINE]}
    combined = replace(judged_world.judgements[0], recognizer="all", score_name="consensus")
    (judgement,) = with_detectability(judged_world.frame, [combined], both, membership)
    assert Verdict.NOT_DETECTED not in judgement.verdicts()


def test_plan_bounds_what_the_run_says(tmp_path: Path) -> None:
    judged_world, _ = judged(tmp_path, replace(PHOTOS, samples=500, quality="mixed"))
    allowed = allowance(judged_world.frame.groups, fdr=0.05, correction="bh")
    power = power_alone(judged_world.assessment.reach[HEADLINE], allowed, 0.05)
    assert power is not None and 0.05 < power.first[:, 0].mean() < 0.95
    for share in (1e-5, 1e-3, 1e-2):
        assert 0 < power.at(share) < allowed.power_at_most(500).at(share)


def test_a_cohort_too_small_to_flag_one_has_no_power_at_all(tmp_path: Path) -> None:
    judged_world, _ = judged(tmp_path, replace(PHOTOS, cohort=300, samples=500))
    reach = judged_world.assessment.reach[HEADLINE]
    allowed = allowance(judged_world.frame.groups, fdr=0.05, correction="bh")
    power = power_alone(reach, allowed, 0.05)
    assert allowed.best.flaggable_from == 3 and power is not None
    assert power.at(1.0) == 0.0 and power.smallest_share(0.5) is None


@pytest.mark.parametrize(("people", "known"), [(LEAST_PEOPLE - 1, False), (LEAST_PEOPLE, True)])
def test_few_people_with_two_photos_say_nothing_of_power(people: int, known: bool) -> None:
    planted = np.ones((people, DRAWS, len(STEPS)))
    reach = GroupReach(1000, np.zeros(999), np.zeros(people), planted, AS_PHOTOS)
    assert (reach.power(0.05) is not None) == known
