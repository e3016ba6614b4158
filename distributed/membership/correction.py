"""How the p-values of a score are corrected for the number of candidates."""

from __future__ import annotations

from distributed.membership.frame import Frame
from distributed.membership.scores import EQUIVARIANT_SCORES
from distributed.statistics.calibration import cohort_needed
from distributed.statistics.flagging import Correction, storey_cost
from schemas.errors import SpecError
from schemas.spec.membership import MembershipSpec


def correction_of(frame: Frame, score_name: str, membership: MembershipSpec) -> Correction:
    """The correction of a score's p-values: what the spec says, or with `auto` Storey's where it is valid.

    It is for one group of candidates, by a score of EQUIVARIANT_SCORES; else Benjamini and Hochberg's, as
    where the cohort is just enough to flag one candidate alone by that one, and not by Storey's, which costs
    a little (`storey_cost`). This is decided by numbers of people, never by p-values. Raises SpecError if the
    spec asks for Storey's where it is not valid.
    """
    valid = len(frame.groups) == 1 and score_name in EQUIVARIANT_SCORES
    if membership.correction == "storey" and not valid:
        raise SpecError(
            f"membership.correction: storey is valid for one group of candidates and the scores "
            f"{', '.join(sorted(EQUIVARIANT_SCORES))}; here are {len(frame.groups)} groups and the score "
            f"{score_name}: write correction: auto"
        )
    if membership.correction == "auto":
        return "storey" if valid and not _just_enough_for_one(frame, membership.fdr) else "bh"
    return membership.correction


def _just_enough_for_one(frame: Frame, fdr: float) -> bool:
    m, n = len(frame.candidates), len(frame.groups[0].cohort)
    return cohort_needed(m, 1, fdr) <= n < cohort_needed(m, 1, fdr / storey_cost(m, n))
