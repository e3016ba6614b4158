"""A folder of images, and a list that says who is on each."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from schemas.spec.locations import Location
from schemas.spec.people.base import PhotoSource


class ListPeople(PhotoSource):
    """Images in one folder, in whatever order, and a table of images and identities."""

    kind: Literal["list"] = Field(description="the people are named by a list of images")
    path: Location = Field(min_length=1, description="the folder that the images are in")
    list: Location = Field(
        min_length=1,
        description="CSV, TSV, columns of spaces (CelebA's `identity_CelebA.txt`), JSON lines or Parquet; "
        "a row for each image, other columns are attributes",
    )
    image: str = Field("image", min_length=1, description="its column of images, named below the folder")
    identity: str = Field("identity", min_length=1, description="its column of identities")
    encoding: Literal["utf-8", "utf-16", "latin-1", "cp1252"] | None = Field(
        None, description="of the list; null: UTF-8, or what its byte-order mark says"
    )

    @property
    def has_attributes(self) -> bool:
        return True
