"""What the cohort's size and the number of samples allow, for `results.json`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np

from distributed.membership.assessment import Assessment
from distributed.membership.planted.reach import GroupReach, reaches_of
from distributed.statistics.allowance import Allowance, allowance
from distributed.statistics.flagging import level
from distributed.statistics.power import POWERS, SHARES, Power
from schemas.run.results import GroupResult, PowerResult, ShareResult
from schemas.spec.membership import MembershipSpec


def power_result(assessment: Assessment, membership: MembershipSpec) -> PowerResult:
    """Of the headline; of a score that combines recognisers, by the first one."""
    fdr, correction = membership.fdr, assessment.judgements[0].correction
    allowed = allowance(assessment.frame.groups, fdr=fdr, correction=correction)
    reach = reaches_of(assessment.reach, assessment.judgements[0], membership.scores)[0]
    power = power_alone(reach, allowed, level(allowed.candidates, fdr, correction))
    return PowerResult(
        cohort=allowed.best.cohort,
        candidates=allowed.candidates,
        smallest_p_value=allowed.best.smallest_p_value,
        fdr=fdr,
        flaggable_from=allowed.best.flaggable_from,
        cohort_needed_for_one=allowed.cohort_needed_for_one,
        groups=[GroupResult(**asdict(group)) for group in allowed.groups],
        shares=share_results(power),
        share_for_power=shares_for_power(power),
        match_rate=None if power is None else float(np.mean(power.first[:, 0])),
        likeness=reach[allowed.largest].likeness.value,
        likeness_source=reach[allowed.largest].likeness.source,
    )


def power_alone(reach: Sequence[GroupReach], allowed: Allowance, rate: float) -> Power | None:
    """Of flagging one candidate of the largest group alone. rate: the level of Benjamini-Hochberg."""
    return reach[allowed.largest].power(rate / allowed.candidates)


def share_results(power: Power | None) -> list[ShareResult]:
    return [ShareResult(share=share, power=None if power is None else power.at(share)) for share in SHARES]


def shares_for_power(power: Power | None) -> dict[str, float | None]:
    return {f"{chance:g}": None if power is None else power.smallest_share(chance) for chance in POWERS}
