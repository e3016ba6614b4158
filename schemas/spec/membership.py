"""Which scores are computed, and how candidates are flagged."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, PositiveInt, model_validator

from schemas.frozen import Frozen
from schemas.spec.locations import Location

ScoreName = Literal[
    "cohort_norm",
    "max",
    "topk_mean",
    "hit_rate",
    "density_ratio",
    "calibrated",
    "z_norm",
    "t_norm",
    "s_norm",
    "consensus",
]
QUALITY = "quality"
Auto = Literal["auto"]


class MembershipSpec(Frozen):
    """Which scores are computed, and how candidates are flagged."""

    scores: tuple[ScoreName, ...] = Field(
        ("cohort_norm", "max", "topk_mean", "hit_rate"),
        min_length=1,
        description="the first one decides; `consensus` combines the first other one of all recognisers",
    )
    topk: int = Field(16, ge=1, le=2048, description="neighbours kept per photo; `topk_mean` averages them")
    fdr: float = Field(0.05, gt=0, lt=1, description="false-discovery rate of the flagged identities")
    correction: Literal["bh", "by"] = Field(
        "bh", description="Benjamini-Hochberg, or Benjamini-Yekutieli for any dependence of the p-values"
    )
    hit: Literal["cohort", "median"] = Field(
        "cohort",
        description="threshold of a hit: `hit_fmr` of the cohort, or the median photo's nearest sample",
    )
    hit_fmr: float = Field(
        1e-4, gt=0, lt=1, description="false match rate of a hit, among the cohort's photos"
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
    reference: Location | None = Field(
        None,
        description="a finished run of a reference generator, for `calibrated`; equal numbers are compared",
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
