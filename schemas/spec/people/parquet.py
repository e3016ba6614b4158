"""Parquet files of images and identities, as the Hugging Face Hub keeps image datasets."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from schemas.spec.locations import Location
from schemas.spec.people.base import PhotoSource


class ParquetPeople(PhotoSource):
    """Parquet files with a column of encoded images and one of identities."""

    kind: Literal["parquet"] = Field(description="the people are rows of Parquet files of images")
    path: Location = Field(
        min_length=1, description="a .parquet, a folder of them, or an s3://, gs:// or az:// prefix"
    )
    image: str = Field(
        "image", min_length=1, description="bytes of encoded images, or Hugging Face's struct{bytes, path}"
    )
    identity: str = Field(
        "label",
        min_length=1,
        description="its column of identities, text or whole numbers; those of a Hugging Face ClassLabel get "
        "its names",
    )
