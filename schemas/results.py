"""`results.json`: what an audit found, and what it takes to make it again."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from schemas.tables import Verdict

RESULTS_VERSION = 1


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SampleCounts(_Frozen):
    """The samples of the run. `detection_rate`: share of samples with at least one face found."""

    planned: int
    rows: int
    outcomes: dict[str, int]
    detection_rate: float | None = Field(description="null where samples get a fixed crop")
    shards: int
    shards_made_now: int


class PeopleCounts(_Frozen):
    """One side of the gallery. `without_template`: identities all of whose photos were refused."""

    identities: int
    photos: int
    refused: dict[str, int]
    without_template: list[str]


class OperatingPointResult(_Frozen):
    """The similarity from which on a sample hits an identity, from the cohort's own non-mated photos."""

    threshold: float
    fmr: float
    comparisons: int


class PowerResult(_Frozen):
    """What the cohort's size allows. `flaggable_from`: so many candidates at the floor can be flagged."""

    cohort: int
    candidates: int
    smallest_p_value: float
    fdr: float
    flaggable_from: int | None
    cohort_needed_for_one: int


class Interval(_Frozen):
    """A value with its 95 % identity-bootstrap interval."""

    value: float
    low: float
    high: float


class TprAtFprResult(_Frozen):
    """The largest TPR with FPR at most `fpr`. Not resolved: one non-member is more, so that FPR is 0."""

    fpr: float
    tpr: Interval
    resolved: bool


class EvaluationResult(_Frozen):
    """How well one score tells the labelled members from the others."""

    members: int
    non_members: int
    roc_auc: Interval
    average_precision: Interval
    tpr_at_fpr: list[TprAtFprResult]


class ScoreResult(_Frozen):
    """One recogniser × score: what was flagged, and the evaluation where labels are given."""

    recognizer: str
    score_name: str
    verdicts: dict[Verdict, int]
    flagged: list[str]
    inconclusive_reason: str | None
    evaluation: EvaluationResult | None


class RecognizerResult(_Frozen):
    """One recogniser's templates."""

    name: str
    sha256: str
    dimension: int
    operating_point: OperatingPointResult


class AuditResults(_Frozen):
    """The whole of `results.json`. `headline` indexes the entry of `scores` that decides the verdicts."""

    results_version: int = RESULTS_VERSION
    name: str
    created: str
    spec: dict[str, Any]
    fingerprint: dict[str, str]
    fingerprint_sha256: str
    gallery_fingerprint: dict[str, str]
    gallery_fingerprint_sha256: str
    verdict_fingerprint_sha256: str = Field(description="of all that the verdicts and evaluations rest on")
    versions: dict[str, str]
    machine: dict[str, str]
    samples: SampleCounts
    candidates: PeopleCounts
    cohort: PeopleCounts
    recognizers: list[RecognizerResult]
    power: PowerResult
    headline: int
    scores: list[ScoreResult]
    seconds: dict[str, float] = Field(
        description="wall time of each job of this invocation; and of its shards' stages, summed over workers"
    )
