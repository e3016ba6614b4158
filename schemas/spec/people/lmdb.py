"""LMDB of images and labels, as HSFace is distributed."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from schemas.spec.locations import Location
from schemas.spec.people.base import PhotoSource


class LmdbPeople(PhotoSource):
    """An LMDB whose values are image and label, packed by msgpack. Needs lmdb: `.[lmdb]`."""

    kind: Literal["lmdb"] = Field(description="the people are labels of an LMDB, as of HSFace and Vec2Face")
    path: Location = Field(min_length=1, description="the .lmdb: a file, or a folder with data.mdb")
