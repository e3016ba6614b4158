"""Templates that were made elsewhere, without photos."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from schemas.spec.locations import Location
from schemas.spec.people.base import PhotoSource


class TemplatesPeople(PhotoSource):
    """Templates of the audit's one recogniser: an array and a list, or a Parquet file."""

    kind: Literal["templates"] = Field(description="the people are templates of the audit's one recogniser")
    path: Location = Field(
        min_length=1, description="a .npy of N × d numbers, or a .parquet with a column of d numbers a row"
    )
    list: Location | None = Field(
        None, description="of a .npy: CSV, TSV, JSON lines or Parquet with a row for each of its rows"
    )
    template: str = Field("template", min_length=1, description="of a .parquet: its column of templates")
    identity: str = Field("identity", min_length=1, description="the column of identities")
    image: str | None = Field(
        None,
        min_length=1,
        description="the column that names the photo; null: a photo is named by its row",
    )

    @property
    def has_photos(self) -> bool:
        return False

    @property
    def has_templates(self) -> bool:
        return True

    @model_validator(mode="after")
    def _list_of_an_array(self) -> Self:
        is_array, is_parquet = (self.path.lower().endswith(suffix) for suffix in (".npy", ".parquet"))
        if not (is_array or is_parquet):
            raise ValueError("path must be a .npy or a .parquet")
        if is_array != (self.list is not None):
            raise ValueError("list says who the rows of a .npy are: give it with a .npy, and only then")
        return self
