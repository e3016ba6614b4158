"""MXNet's RecordIO, as InsightFace distributes its training sets."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from schemas.spec.locations import Location
from schemas.spec.people.base import PhotoSource


class RecordioPeople(PhotoSource):
    """A `.rec` of images, each with a label, and its `.idx`."""

    kind: Literal["recordio"] = Field(description="the people are labels of a .rec, as of MS1M or WebFace")
    path: Location = Field(
        min_length=1, description="the .rec; an identity is named by its label, a photo by its key"
    )
    index: Location | None = Field(None, description="its .idx; null: the one of the same name beside it")
