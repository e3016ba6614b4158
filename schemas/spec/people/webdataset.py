"""Tar files of images and identities, in WebDataset's form."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from schemas.spec.locations import Location
from schemas.spec.people.base import PhotoSource


class WebdatasetPeople(PhotoSource):
    """Tar files whose members of one name, up to its first dot, belong together."""

    kind: Literal["webdataset"] = Field(description="the people are members of tar files")
    path: Location = Field(
        min_length=1, description="a .tar, a folder of them, or an s3://, gs:// or az:// prefix"
    )
    member: str | None = Field(
        None, min_length=1, description="suffix of the images, such as jpg; null: the only image of each name"
    )
    identity: str = Field(
        "cls",
        min_length=1,
        description="suffix of the member that names the identity: text, or json with `field`; or `folder`: "
        "the folder that the image lies in",
    )
    field: str | None = Field(None, min_length=1, description="the key of the identity in a json member")

    @model_validator(mode="after")
    def _field_of_json(self) -> Self:
        if self.identity.endswith("json") != (self.field is not None):
            raise ValueError("field names a key of a json member: give it with `identity: json` alone")
        return self
