"""What the cohort's size and the number of samples allow, for `results.json`."""

from __future__ import annotations

import numpy as np

from distributed.membership.assessment import Reduction
from distributed.membership.detectability import power_alone
from distributed.membership.verdicts import level
from distributed.statistics.allowance import GroupAllowance, allowance
from distributed.statistics.power import POWERS, SHARES, Power
from schemas.run.results import GroupResult, PowerResult, ShareResult
from schemas.spec.audit import MembershipSpec


def power_result(reduction: Reduction, membership: MembershipSpec) -> PowerResult:
    """By the first recogniser."""
    fdr, correction = membership.fdr, membership.correction
    allowed = allowance(reduction.frame.groups, fdr=fdr, correction=correction)
    reach = reduction.reach[next(iter(reduction.partials))]
    power = power_alone(reach, allowed, level(allowed.candidates, fdr, correction))
    return PowerResult(
        cohort=allowed.best.cohort,
        candidates=allowed.candidates,
        smallest_p_value=allowed.best.smallest_p_value,
        fdr=fdr,
        flaggable_from=allowed.best.flaggable_from,
        cohort_needed_for_one=allowed.cohort_needed_for_one,
        groups=[_group(one) for one in allowed.groups],
        shares=share_results(power),
        share_for_power=shares_for_power(power),
        match_rate=None if power is None else float(np.mean(power.match_rates)),
    )


def _group(one: GroupAllowance) -> GroupResult:
    return GroupResult(
        stratum=one.stratum,
        photos=one.photos,
        candidates=one.candidates,
        cohort=one.cohort,
        smallest_p_value=one.smallest_p_value,
        flaggable_from=one.flaggable_from,
    )


def share_results(power: Power | None) -> list[ShareResult]:
    return [ShareResult(share=one, power=None if power is None else power.at(one)) for one in SHARES]


def shares_for_power(power: Power | None) -> dict[str, float | None]:
    return {f"{one:g}": None if power is None else power.smallest_share(one) for one in POWERS}
