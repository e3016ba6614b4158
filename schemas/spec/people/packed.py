"""Images and who is on them in packed form: MXNet's RecordIO, tar files, Parquet files, an LMDB."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from schemas.spec.locations import Location
from schemas.spec.people.base import PhotoSource


class RecordioPeople(PhotoSource):
    """A `.rec` of images, each with a label, and its `.idx`."""

    kind: Literal["recordio"] = Field(description="the people are labels of a .rec, as of MS1M or WebFace")
    path: Location = Field(
        min_length=1, description="the .rec; an identity is named by its label, a photo by its key"
    )
    index: Location | None = Field(None, description="its .idx; null: the one of the same name beside it")


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


class LmdbPeople(PhotoSource):
    """An LMDB whose values are image and label, packed by msgpack. Needs lmdb: `.[lmdb]`."""

    kind: Literal["lmdb"] = Field(description="the people are labels of an LMDB, as of HSFace and Vec2Face")
    path: Location = Field(min_length=1, description="the .lmdb: a file, or a folder with data.mdb")
