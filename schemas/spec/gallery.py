"""The real people that the samples are compared with."""

from __future__ import annotations

from pydantic import Field

from schemas.frozen import Frozen
from schemas.spec.locations import Location
from schemas.spec.people import PeopleSource, PeopleSourceSpec, PeopleSpec

__all__ = ["GallerySpec", "PeopleSpec"]


class GallerySpec(Frozen):
    """The real people that the samples are compared with."""

    candidates: PeopleSourceSpec = Field(
        description="the identities that the audit is about: a kind of docs/people.md, or in short `{images: "
        "FOLDER}` with one folder of photos per identity, or `{parquet: FILE}`, a `gallery.parquet` enrolled "
        "with the same `faces`"
    )
    cohort: PeopleSourceSpec = Field(
        description="identities whom you state to be outside the training data; given as `candidates` are"
    )
    detector: bool = Field(True, description="false: the photos are aligned 112×112 crops already")
    labels: Location | None = Field(
        None, description="CSV `identity,member`; for evaluation only, never read by scoring"
    )
    attributes: Location | None = Field(
        None, description="CSV `identity,…`: columns that `membership.strata` may name"
    )

    @property
    def sides(self) -> tuple[PeopleSource, PeopleSource]:
        """Candidates and cohort."""
        return self.candidates, self.cohort
