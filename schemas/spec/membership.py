"""Which scores are computed, and how candidates are flagged."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, PositiveInt, ValidatorFunctionWrapHandler, WrapValidator, model_validator

from schemas.frozen import Frozen
from schemas.spec.generators import GeneratorSpec
from schemas.spec.locations import Location

ScoreName = Literal[
    "margin",
    "max",
    "topk_mean",
    "hit_rate",
    "density_ratio",
    "calibrated",
    "consensus",
]
RETIRED_SCORES = frozenset({"cohort_norm", "z_norm", "t_norm", "s_norm"})
"""Of version 0.1: runs of that time are still read, and nothing is scored by them any more."""
QUALITY = "quality"
PHOTOS = "photos"
TEMPLATES = "templates"
BUILT_IN = frozenset({QUALITY, PHOTOS, TEMPLATES})
"""What `adjust` takes beside columns of attributes."""
Auto = Literal["auto"]


def _retired_too(name: Any, validate: ValidatorFunctionWrapHandler) -> Any:
    """So that the reference and refusals of unknown names do not offer what nobody can choose."""
    return name if isinstance(name, str) and name in RETIRED_SCORES else validate(name)


class MembershipSpec(Frozen):
    """Which scores are computed, and how candidates are flagged."""

    scores: tuple[Annotated[ScoreName, WrapValidator(_retired_too)], ...] = Field(
        ("margin", "max"),
        min_length=1,
        description="the first one decides; `consensus` combines the first other one of all recognisers",
    )
    topk: int = Field(16, ge=1, le=2048, description="nearest samples that count for a person")
    fdr: float = Field(0.05, gt=0, lt=1, description="false-discovery rate of the flagged identities")
    correction: Literal["auto", "storey", "bh", "by"] = Field(
        "auto",
        description="Storey's where it is valid, else Benjamini-Hochberg; or one of the two, or "
        "Benjamini-Yekutieli for any dependence of the p-values",
    )
    hit: Literal["cohort", "median"] = Field(
        "cohort",
        description="threshold of `hit_rate`: `hit_fmr` of the cohort, or the median of people's nearest",
    )
    hit_fmr: float = Field(
        1e-4, gt=0, lt=1, description="false match rate of a hit for `hit_rate`, among the cohort"
    )
    detect: float = Field(
        0.01,
        gt=0,
        le=1,
        description="a share of the samples: `not detected` is said where who is in so many would have been "
        "flagged with a chance of 0.95, and `idleak plan` says what that takes",
    )
    likeness: Auto | Annotated[float, Field(gt=0, le=1)] = Field(
        "auto",
        description="how much of what a photo shows of a person a sample shows, for what is said of those "
        "who are not flagged; auto: as samples of the flagged show, or 0.6 where these are fewer than five",
    )
    photos: Auto | PositiveInt = Field(
        "auto", description="photos used of an identity; fewer make the cohort larger: see `idleak plan`"
    )
    strata: tuple[str, ...] = Field(
        (), description="calibrate within these columns of `gallery.attributes`, or `quality` of the photos"
    )
    least_stratum: int = Field(
        100, ge=1, description="strata with fewer cohort identities are merged with others"
    )
    adjust: tuple[str, ...] = Field(
        (),
        description="hold scores against what these lead one to expect: columns of `gallery.attributes`, "
        "`quality`, `photos` (how many) or `templates`; where candidates and cohort differ in them",
    )
    reference: Location | None = Field(
        None,
        description="a finished run of a reference generator, for `calibrated`; equal numbers are compared",
    )

    placebo: GeneratorSpec | None = Field(
        None,
        description="a generator that nobody of the gallery trained, written as `generator` is: sampled "
        "as often, and nobody must be found in it, else the report says so",
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(set(self.scores)) < len(self.scores):
            raise ValueError(f"scores must not repeat, got {list(self.scores)}")
        if "calibrated" in self.scores and self.reference is None:
            raise ValueError(
                "the score calibrated needs membership.reference, a run of a reference generator"
            )
        if self.scores == ("consensus",):
            raise ValueError("consensus combines another score: list that one too")
        return self
