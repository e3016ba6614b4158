"""Photos in folders, or named after their people."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from schemas.spec.locations import Location
from schemas.spec.people.base import PhotoSource


class FoldersPeople(PhotoSource):
    """A folder with one folder of photos per identity, named after the identity."""

    kind: Literal["folders"] = Field(description="the people are folders of photos")
    path: Location = Field(min_length=1, description="the folder; each folder in it is one identity")


class FlatPeople(PhotoSource):
    """Photos `Name_0001.jpg` in one folder."""

    kind: Literal["flat"] = Field(description="the people are named by the names of photos")
    path: Location = Field(
        min_length=1,
        description="the folder; `Ada_King_0001.jpg` is of `Ada_King`: what stands before the last number",
    )
