"""What an audit can find at most, computed beforehand from the sizes of its gallery and of its samples."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from distributed.membership.planted.ceiling import ERROR, RECOGNISED
from distributed.statistics.allowance import Allowance, GroupAllowance, allowance
from distributed.statistics.flagging import Correction, level
from distributed.statistics.matching import EVERYBODY, calibration_groups, photo_choices
from distributed.statistics.power import (
    DETECTION_POWER,
    LEAST_PEOPLE,
    SHARES,
    Power,
    people_needed,
    samples_to_rule_out,
)
from schemas.run.tables import Role
from schemas.spec.audit import AuditSpec
from schemas.spec.membership import MembershipSpec
from schemas.wording import per_million, plain, probability, share


def planned_correction(membership: MembershipSpec) -> Correction:
    """What a plan counts by. Storey's needs p-values; with nobody taken for a member it is about as BH."""
    return "by" if membership.correction == "by" else "bh"


def planned_allowance(membership: MembershipSpec, people: Mapping[Role, Counter[str]]) -> Allowance:
    """What the sizes of both sides allow. people: photos per identity on each side, as given.

    Without strata, so that no cohort is larger.
    """
    photos, in_cohort = _counts(people)
    wanted = None if membership.photos == "auto" else membership.photos
    groups = calibration_groups(photos, in_cohort, [EVERYBODY] * len(photos), wanted)
    return allowance(groups, fdr=membership.fdr, correction=planned_correction(membership))


def forecast_rows(spec: AuditSpec, people: Mapping[Role, Counter[str]]) -> list[tuple[str, str]]:
    """people: as for `planned_allowance`."""
    photos, in_cohort = _counts(people)
    allowed = planned_allowance(spec.membership, people)
    return [
        ("people", f"{allowed.candidates:,} candidates, {int(in_cohort.sum()):,} in the cohort, as given"),
        *(_group_row(group, allowed, spec.membership.fdr) for group in allowed.groups),
        ("to flag one alone", f"a cohort of {allowed.cohort_needed_for_one:,} identities{_lacking(allowed)}"),
        *_advice(photos, in_cohort, allowed, spec.membership),
        *_bounds(spec.membership),
        *_share_rows(allowed, spec.samples),
        _detect_row(allowed, spec),
        _rule_out_row(allowed, spec),
    ]


def _counts(people: Mapping[Role, Counter[str]]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Photos of each identity, and whether it is in the cohort."""
    sides = [list(people[role].values()) for role in (Role.CANDIDATE, Role.COHORT)]
    photos = np.array([*sides[0], *sides[1]], dtype=np.int64)
    return photos, np.repeat([False, True], [len(sides[0]), len(sides[1])])


def _group_row(group: GroupAllowance, allowed: Allowance, fdr: float) -> tuple[str, str]:
    return (
        f"with {group.photos} photos each",
        f"{group.candidates:,} candidates against {group.cohort:,}: smallest p-value "
        f"{probability(group.smallest_p_value)}; {flagging_text(group, allowed, fdr)}",
    )


def flagging_text(group: GroupAllowance, allowed: Allowance, fdr: float) -> str:
    enough = group.flaggable_from
    if enough is None:
        return f"at FDR {fdr:g} nobody can be flagged: all would be inconclusive"
    if enough == 1:
        return f"at FDR {fdr:g} one candidate can be flagged alone"
    return (
        f"at FDR {fdr:g} nobody can be flagged unless {enough:,} or more of the {allowed.candidates:,} "
        "candidates are flagged together"
    )


def _advice(
    photos: NDArray[np.int64],
    in_cohort: NDArray[np.bool_],
    allowed: Allowance,
    membership: MembershipSpec,
) -> Iterator[tuple[str, str]]:
    """To use fewer photos, where that makes the cohort large enough to flag a single candidate."""
    if all(group.flaggable_from == 1 for group in allowed.groups):
        return
    rate = level(allowed.candidates, membership.fdr, planned_correction(membership))
    better = [
        photo_choice for photo_choice in photo_choices(photos, in_cohort, rate) if photo_choice.flags_one
    ]
    if better:
        best = better[-1]
        yield (
            "advice",
            f"membership.photos: {best.photos} has a cohort of {best.cohort:,}: it can flag one alone",
        )


def _bounds(membership: MembershipSpec) -> Iterator[tuple[str, str]]:
    if membership.strata:
        yield (
            "strata",
            "are left out here: within a stratum the cohort is no larger than these",
        )
    if membership.correction in ("auto", "storey"):
        yield (
            "correction",
            "counted by Benjamini-Hochberg; Storey's, where it is valid, may flag fewer people together, if "
            "few candidates have large p-values",
        )
    yield (
        "what follows",
        "is a bound: photos may be refused, samples may have no face, and how often the recogniser matches a "
        "person is known only after the audit",
    )


def _share_rows(allowed: Allowance, samples: int) -> list[tuple[str, str]]:
    """The chance to flag somebody alone, if every sample that shows the person matched."""
    power = allowed.power_at_most(samples)
    chances = ", ".join(f"{per_million(rate)}: {plain(share(power.at(rate)))}" for rate in SHARES)
    text = f"if a person is in so many of a million samples: {chances}"
    return [
        ("flagged alone, at most", text if allowed.flags_one else "never: the cohort is too small"),
        ("with 95 % chance", _share_needed(allowed, power)),
    ]


def _lacking(allowed: Allowance) -> str:
    more = allowed.cohort_needed_for_one - allowed.best.cohort
    return f": {more:,} more than the {allowed.best.cohort:,} there" if more > 0 else ""


def samples_needed(share: float) -> int:
    """With so many, one at least shows a person who is in such a share of them, with a chance of
    DETECTION_POWER."""
    return math.ceil(round(math.log1p(-DETECTION_POWER) / math.log1p(-share), 9)) if share < 1 else 1


def _detect_row(allowed: Allowance, spec: AuditSpec) -> tuple[str, str]:
    """What it takes that `not detected` can be said: see membership.detect."""
    share_wanted, needed = spec.membership.detect, samples_needed(spec.membership.detect)
    cohort, text = allowed.cohort_needed_for_one, "enough, if each sample of the person is"
    if spec.samples < needed:
        text = f"NOT ENOUGH samples: {spec.samples:,}; nobody will be called not detected"
    elif not allowed.flags_one:
        text = "the cohort is too small to flag one alone"
    return (
        "not detected",
        f"is said of who would have been flagged with a chance of {DETECTION_POWER:g} in "
        f"{per_million(share_wanted)} of a million (membership.detect): at least {needed:,} samples and a "
        f"cohort of {cohort:,}, {LEAST_PEOPLE} of them with two photos; {text}",
    )


def _rule_out_row(allowed: Allowance, spec: AuditSpec) -> tuple[str, str]:
    """What it takes to say that nobody is in more than membership.detect of the samples."""
    wanted, error = spec.membership.detect, ERROR
    needed = samples_to_rule_out(allowed.candidates, wanted, error)
    return (
        "to rule out",
        f"with 95 % confidence that any of {allowed.candidates:,} candidates is in more than "
        f"{per_million(wanted)} of a million takes {needed:,} samples at least, if each sample of a person "
        f"is recognised, and {people_needed(RECOGNISED, error / 2):,} of the cohort with two photos",
    )


def _share_needed(allowed: Allowance, power: Power) -> str:
    least = power.smallest_share(0.95)
    if least is not None:
        return f"not below {per_million(least)} of a million"
    return "more samples are needed" if allowed.flags_one else "a larger cohort is needed"
