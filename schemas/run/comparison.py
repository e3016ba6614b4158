"""`comparison.json`: two audits of one gallery, side by side."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from schemas.frozen import Record
from schemas.run.results import Interval
from schemas.run.tables import Verdict

COMPARISON_VERSION = 1


class ComparedRun(Record):
    """One of the two. `fingerprint`: all that its samples follow from."""

    name: str
    created: str
    location: str
    samples: int
    fingerprint: dict[str, str]


class PersonInRun(Record):
    """One candidate in one run, by the score and recogniser that decide the verdicts. Rates: hits per million
    samples, with their 95 % interval."""

    verdict: Verdict
    score: float
    p_value: float
    q_value: float | None
    per_million: float
    per_million_low: float
    per_million_high: float


class ComparedPerson(Record):
    """One candidate in both runs. `identity`: the pseudonym, whatever the page shows."""

    identity: str
    first: PersonInRun
    second: PersonInRun
    more_often: str = Field(description="A or B where the intervals of the rates are apart, else empty")


class Removal(StrEnum):
    """What the later run says of somebody who was to be removed."""

    STILL_THERE = "still there"
    CLEARED = "cleared"
    UNKNOWN = "unknown"


class LeakAtK(Record):
    """The chance that at least one of k samples hits a person: of one person with the 95 % interval of the
    rate of hits, of a group as its mean. by_chance: the same at the cohort's mean rate."""

    k: int
    share: Interval
    by_chance: float


class ForgottenPerson(Record):
    """Somebody who was to be removed. was_flagged: by the earlier run. removal: `cleared` is who scores lower
    than people planted in a share `cleared_after` of the samples, and is not flagged."""

    identity: str
    was_flagged: bool
    removal: Removal
    cleared_before: float | None
    cleared_after: float | None
    leak_before: LeakAtK
    leak_after: LeakAtK


class GroupInRun(Record):
    """People together in one run. score, leak_at_k: means, with 95 % intervals over people; of fewer than
    five from the smallest to the largest. set_p_value: that none of them is a member. Null: no people."""

    people: int
    flagged: int
    cleared: int
    score: Interval | None
    set_p_value: float | None
    leak_at_k: list[LeakAtK]


class UnlearnedResult(Record):
    """Whom `--unlearned` names, and all other candidates, who were to be retained."""

    people: list[ForgottenPerson]
    forgotten_before: GroupInRun
    forgotten_after: GroupInRun
    retained_before: GroupInRun
    retained_after: GroupInRun


class ComparisonResult(Record):
    """What `idleak compare` found. People: in the page's order, and all of them."""

    version: int = COMPARISON_VERSION
    first: ComparedRun
    second: ComparedRun
    recognizer: str
    score_name: str
    warnings: list[str]
    people: list[ComparedPerson]
    unlearned: UnlearnedResult | None = Field(None, description="null without `--unlearned`")
