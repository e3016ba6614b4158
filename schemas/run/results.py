"""`results.json`: what an audit found, and what it takes to make it again."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from schemas.frozen import Record
from schemas.run.checks import DriftResult, PlaceboResult, RoleTestResult
from schemas.run.overlap import OverlapResult
from schemas.run.tables import Verdict

RESULTS_VERSION = 4


class SampleCounts(Record):
    """The samples of the run. `detection_rate`: share of samples with at least one face found."""

    planned: int
    rows: int
    outcomes: dict[str, int]
    detection_rate: float | None = Field(description="null where samples get a fixed crop, or are templates")
    shards: int
    shards_made_now: int


class PeopleCounts(Record):
    """One side of the gallery. `without_template`: identities all of whose photos were refused."""

    identities: int
    photos: int
    refused: dict[str, int]
    without_template: list[str]


class OperatingPointResult(Record):
    """The similarity that non-mated pairs of the cohort's photos reach at a rate of `fmr`."""

    threshold: float
    fmr: float
    comparisons: int


class GroupResult(Record):
    """Candidates calibrated together: the same stratum, the same number of photos as their cohort.

    `flaggable_from`: one of them can be flagged only if so many candidates are flagged together; null: never.
    """

    stratum: str
    photos: int
    candidates: int
    cohort: int
    smallest_p_value: float
    flaggable_from: int | None


class ShareResult(Record):
    """The chance that a person in such a share of the compared samples is flagged alone.

    Null: fewer cohort identities than it takes have two photos, so it is not known.
    """

    share: float
    power: float | None


class PowerResult(Record):
    """What the cohort's size and the number of samples allow; `cohort` to `flaggable_from` of the group with
    the largest cohort.

    `shares`: of one candidate of that group, by the headline's score, as a mean over the cohort's people, if
    samples show people with `likeness`.
    """

    cohort: int
    candidates: int
    smallest_p_value: float
    fdr: float
    flaggable_from: int | None
    cohort_needed_for_one: int
    groups: list[GroupResult]
    shares: list[ShareResult]
    share_for_power: dict[str, float | None] = Field(
        description="power -> the share of samples that must show a person for it; null: none, or unknown"
    )
    match_rate: float | None = Field(
        description="mean over the cohort's people of how often one sample of them is enough to flag them "
        "alone; 0: the cohort is too small for that; null: unknown"
    )
    likeness: float | None = Field(
        None,
        description="of a sample to a person: see docs/method.md; null in runs of version 0.1, whose powers "
        "are of the score max",
    )
    likeness_source: str | None = Field(None, description="spec, measured or assumed")


class Interval(Record):
    """A value with its 95 % interval: see docs/method.md for how each is found."""

    value: float
    low: float
    high: float


class TprAtFprResult(Record):
    """The largest TPR with FPR at most `fpr`. Not resolved: there are fewer than 1 / `fpr` non-members."""

    fpr: float
    tpr: Interval | None = Field(
        description="null if not resolved; version 0.1 gave the TPR without any false positive there"
    )
    resolved: bool


class EvaluationResult(Record):
    """How well one score tells the labelled members from the others."""

    members: int
    non_members: int
    roc_auc: Interval
    average_precision: Interval
    equal_error_rate: Interval
    tpr_at_fpr: list[TprAtFprResult]
    det_fpr: list[float]
    det_fnr: list[float]


class PrefixResult(Record):
    """What the first `samples` samples show. `flagged`: how many candidates."""

    samples: int
    flagged: int
    roc_auc: float | None


class SettingResult(Record):
    """What the samples of one setting of a sweep show. `flagged`: at the FDR within the setting."""

    factors: dict[str, bool | int | float | str]
    samples: int
    flagged: list[str]


class OverRepresentedResult(Record):
    """A candidate who leaked and is hit more than three times as often as the median of others.

    In runs of version 0.1: one with more hits than the spread of the cohort's rates explains.
    """

    identity: str
    recognizer: str
    least_margin: float | None = Field(
        None,
        description="by which a hit fits the person better than anybody else; null in runs of version 0.1",
    )
    hits: int
    per_million: Interval
    expected_per_million: float
    ratio: float | None
    model_p_value: float = Field(
        description="that no non-member has so many hits, by a model of the cohort's tail"
    )
    least_times: float | None = Field(
        None,
        description="with 95 % confidence at least so many times the median of the others; null in runs of "
        "version 0.1",
    )
    others: int | None = Field(None, description="so many other people")
    among_flagged: bool | None = Field(
        None, description="the others are flagged or have more hits than any non-member; else all candidates"
    )


class CeilingResult(Record):
    """With 95 % confidence none of `people`, the candidates whom the headline does not flag, is in more than
    `share` of the compared samples, so that samples show them as recognisably as `recognised` of the cohort's
    people would be shown. See docs/method.md.
    """

    recognizer: str
    people: int
    share: float | None = Field(description="null: no such share can be given, for `reason`")
    reason: str | None
    recognised: float
    match_rate: float = Field(description="the least of the groups': of a person's samples, those that count")
    likeness: float
    likeness_source: str


class CrowdResult(Record):
    """Samples that match one of them: perhaps one person, made often."""

    sample_id: int
    samples: int
    share: float


class PopulationResult(Record):
    """Of how many people the generator makes, as the recogniser tells them apart, the effective number
    1 / Σ p², by the birthday paradox.

    `estimate` and `high` are null where the samples cannot bound it. `closure`: how often A matches C where
    both match B, of the samples; null if there are no such. Below `least_closure` matches do not tell people
    apart, and `low` and `high` are null.
    """

    recognizer: str
    samples: int
    collisions: int
    estimate: float | None
    low: float | None
    high: float | None
    closure: float | None
    least_closure: float | None
    crowds: list[CrowdResult]


class EvidenceResult(Record):
    """What a flag rests on: a copy of one photo, or the person across photos. See docs/method.md."""

    identity: str
    kind: str
    photo: str
    sample_id: int
    similarity: float
    mated_similarity: float | None
    template_p_value: float
    structural_similarity: float | None
    structural_p_value: float | None = Field(
        description="that photo and sample are two different photos of one person; of version 0.1, that they "
        "show different people"
    )
    recurs: int | None = Field(
        None,
        description="how many of the person's nearest samples are that same photo: with two or more, a "
        "template copy",
    )


class ScoreResult(Record):
    """One recogniser × score: what was flagged, and the evaluation where labels are given."""

    recognizer: str
    score_name: str
    correction: str = Field("bh", description="of the p-values: storey, bh or by; bh in runs of version 0.1")
    verdicts: dict[Verdict, int]
    flagged: list[str]
    flagged_fdp_bound: float | None = Field(
        description="with 95 % confidence at most this share of the flagged are false, if candidates who "
        "did not leak are exchangeable with the cohort; null if nobody is flagged"
    )
    least_members: int | None = Field(
        None,
        description="with 95 % confidence at least so many candidates leaked, flagged or not, if those who "
        "did not are exchangeable with the cohort; null in runs of version 0.1",
    )
    resembles: dict[str, str] = Field(
        description="who is not flagged, and the flagged person whom most of their nearest samples fit better"
    )
    set_p_value: float = Field(description="of all candidates together, by a permutation test")
    inconclusive_reasons: dict[str, int] = Field(description="reason -> how many candidates")
    at_floor: list[str] = Field(
        [],
        description="candidates who score higher than their whole cohort, and are inconclusive as the "
        "smallest p-value that it allows is too large to be flagged; empty in results of version 0.2.0",
    )
    detectable_share: float | None = Field(
        description="of the compared samples: had a candidate who is not detected been in so many, they "
        "would have been flagged with an estimated chance of detectable_chance; null if nobody is so"
    )
    detectable_chance: float = Field(0.5, description="0.5 in runs of version 0.1")
    detectable_low: float | None = Field(None, description="95 % interval of the share, over people")
    detectable_high: float | None = Field(None, description="null: no share is large enough")
    detectable_for_most: float | None = Field(
        None,
        description="95 % of the cohort's people would each, by itself, have been flagged with that chance "
        "from such a share on; null: no share is large enough",
    )
    detectable_for_most_low: float | None = Field(None, description="its 95 % interval over people")
    detectable_for_most_high: float | None = Field(None, description="null: no share is large enough")
    cleared: dict[str, int] = Field(
        {},
        description="share of the samples -> how many candidates are cleared at it: of them at most 5 % on "
        "average are in more; empty in runs of version 0.1",
    )
    likeness: float | None = Field(
        None,
        description="how much of what a photo shows of a person samples are taken to show; null in runs of "
        "version 0.1, whose chance was of the score max",
    )
    likeness_source: str | None = Field(None, description="spec, measured or assumed")
    evaluation: EvaluationResult | None
    prefixes: list[PrefixResult]
    settings: list[SettingResult]


class LedgerResult(Record):
    """This audit's night in the ledger, and whom all nights together flag at its rate."""

    night: int
    alpha: float
    flagged: list[str]


class MatedResult(Record):
    """TAR at the threshold that a share `fmr` of non-mated pairs passes: the mean over people with two photos
    each, with its Clopper-Pearson interval for as many people."""

    people: int
    fmr: float
    threshold: float
    tar: Interval
    mean_similarity: float


class SeparationResult(Record):
    """How well the recogniser tells the gallery's own people apart: `good` or `weak`. See docs/method.md."""

    quality: str
    people: int
    photos: int
    non_mated_mean: float
    non_mated_deviation: float
    mated: MatedResult | None = Field(description="null unless two people have two photos each")


class RecognizerResult(Record):
    """One recogniser's templates."""

    name: str
    sha256: str
    dimension: int
    operating_point: OperatingPointResult
    separation: SeparationResult | None = Field(
        None, description="null in results of a version that did not measure it: the audit is judged anew"
    )


class AuditResults(Record):
    """The whole of `results.json`. `headline` indexes the entry of `scores` that decides the verdicts."""

    results_version: int = RESULTS_VERSION
    name: str
    created: str
    spec: dict[str, Any]
    paths_as_written: dict[str, str] = Field(
        default_factory=dict, description="dotted key of the spec -> its path as the spec's file has it"
    )
    fingerprint: dict[str, str]
    fingerprint_sha256: str
    gallery_fingerprint: dict[str, str]
    gallery_fingerprint_sha256: str
    verdict_fingerprint_sha256: str = Field(description="of all that the verdicts and evaluations rest on")
    authorisation: dict[str, str] | None
    overrides: list[str] = Field(description="reasons given for going on without a valid authorisation")
    licenses: dict[str, str] = Field(description="of the generator, the detector and each recogniser")
    versions: dict[str, str]
    machine: dict[str, str]
    samples: SampleCounts
    candidates: PeopleCounts
    cohort: PeopleCounts = Field(description="without those whom `overlap` leaves out")
    overlap: OverlapResult | None = Field(
        None, description="who may be in the gallery twice; null in results of version 3 and earlier"
    )
    recognizers: list[RecognizerResult]
    gallery_warnings: list[str] = Field(
        [], description="what is poor about the recognisers and the detector, by the gallery's own photos"
    )
    power: PowerResult
    headline: int
    scores: list[ScoreResult]
    over_represented: list[OverRepresentedResult]
    more_than_cohort: list[str] = Field(
        [],
        description="candidates with more hits, by any recogniser, than the spread of the cohort's explains, "
        "by a model of its tail: a second test of membership",
    )
    ceiling: CeilingResult | None = Field(
        None, description="null if all candidates are flagged, and in runs of version 0.1"
    )
    population: PopulationResult | None
    drift: list[DriftResult]
    roles: RoleTestResult | None = Field(
        None, description="null without a stratum that has both sides, and in runs of version 0.1"
    )
    placebo: PlaceboResult | None = Field(
        None, description="null without `membership.placebo`, and in runs of version 0.1"
    )
    evidence: list[EvidenceResult] = Field(description="of the candidates whom the headline flags")
    ledger: LedgerResult | None
    seconds: dict[str, float] = Field(
        description="wall time of each job of this invocation; and of its shards' stages, summed over workers"
    )
