"""The short form of a side of the gallery, without a `kind`."""

from __future__ import annotations

from typing import Self

from pydantic import ConfigDict, Field, model_validator

from schemas.spec.locations import Location
from schemas.spec.people.base import PeopleSource

SHORT_FORM = "short form"
"""In place of a kind, where a validator names one; left out of messages."""


class PeopleSpec(PeopleSource):
    """Photos of people: a folder, or templates enrolled before."""

    model_config = ConfigDict(
        json_schema_extra={"anyOf": [{"required": ["images"]}, {"required": ["parquet"]}]}
    )

    images: Location | None = Field(None, description="a folder with one folder of photos per identity")
    parquet: Location | None = Field(None, description="a `gallery.parquet` enrolled with the same `faces`")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.images is None) == (self.parquet is None):
            raise ValueError(
                "give either images (a folder) or parquet (a gallery.parquet), one of the two, or a kind of "
                "docs/people.md"
            )
        return self

    @property
    def earlier(self) -> str | None:
        return self.parquet

    @property
    def has_photos(self) -> bool:
        return self.images is not None
