"""`comparison.json`: two audits of one gallery, side by side."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from schemas.run.tables import Verdict

COMPARISON_VERSION = 1


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ComparedRun(_Frozen):
    """One of the two. `fingerprint`: all that its samples follow from."""

    name: str
    created: str
    location: str
    samples: int
    fingerprint: dict[str, str]


class PersonInRun(_Frozen):
    """One candidate in one run, by the score and recogniser that decide the verdicts. Rates: hits per million
    samples, with their 95 % interval."""

    verdict: Verdict
    score: float
    p_value: float
    q_value: float | None
    per_million: float
    per_million_low: float
    per_million_high: float


class ComparedPerson(_Frozen):
    """One candidate in both runs. `identity`: the pseudonym, whatever the page shows."""

    identity: str
    first: PersonInRun
    second: PersonInRun
    more_often: str = Field(description="A or B where the intervals of the rates are apart, else empty")


class ComparisonResult(_Frozen):
    """What `idleak compare` found. People: in the page's order, and all of them."""

    version: int = COMPARISON_VERSION
    first: ComparedRun
    second: ComparedRun
    recognizer: str
    score_name: str
    warnings: list[str]
    people: list[ComparedPerson]
