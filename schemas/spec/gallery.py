"""The real people that the samples are compared with."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from schemas.frozen import Frozen
from schemas.spec.locations import Location


class PeopleSpec(Frozen):
    """Photos of people: a folder, or templates enrolled before."""

    images: Location | None = Field(None, description="a folder with one folder of photos per identity")
    parquet: Location | None = Field(None, description="a `gallery.parquet` enrolled with the same `faces`")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.images is None) == (self.parquet is None):
            raise ValueError("give either images (a folder) or parquet (a gallery.parquet), one of the two")
        return self


class GallerySpec(Frozen):
    """The real people that the samples are compared with."""

    candidates: PeopleSpec = Field(description="the identities that the audit is about")
    cohort: PeopleSpec = Field(description="identities known to be outside the training data")
    detector: bool = Field(True, description="false: the photos are aligned 112×112 crops already")
    labels: Location | None = Field(
        None, description="CSV `identity,member`; for evaluation only, never read by scoring"
    )
    attributes: Location | None = Field(
        None, description="CSV `identity,…`: columns that `membership.strata` may name"
    )
