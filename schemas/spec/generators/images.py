"""Images that some generator has made: in a folder, in tar files, in Parquet files, in MXNet's RecordIO."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from schemas.spec.generators.base import Generator
from schemas.spec.locations import Location


class ImagesGenerator(Generator):
    """A folder of images that some generator has made. Cannot be seeded."""

    seeded: ClassVar[bool] = False

    kind: Literal["images"] = Field(description="the generator is a folder of its images")
    path: Location = Field(min_length=1, description="the folder; sorted relative paths are the sample ids")


class WebdatasetGenerator(Generator):
    """Tar files of images that some generator has made. Cannot be seeded."""

    seeded: ClassVar[bool] = False

    kind: Literal["webdataset"] = Field(description="the generator is tar files of its images")
    path: Location = Field(
        min_length=1,
        description="a .tar, a folder of them, or an s3://, gs:// or az:// prefix; ids follow sorted names",
    )
    member: str | None = Field(
        None,
        min_length=1,
        description="suffix of the samples, such as jpg; `*`: every image is one; null: the only image of "
        "each name",
    )


class ParquetGenerator(Generator):
    """Parquet files with a column of encoded images that some generator has made. Cannot be seeded."""

    seeded: ClassVar[bool] = False

    kind: Literal["parquet"] = Field(description="the generator is Parquet files of its images")
    path: Location = Field(
        min_length=1,
        description="a .parquet, a folder of them, or an s3://, gs:// or az:// prefix; ids are rows",
    )
    column: str = Field(
        "image", min_length=1, description="bytes of encoded images, or Hugging Face's struct{bytes, path}"
    )


class RecordioGenerator(Generator):
    """A `.rec` of images that some generator has made, as DCFace's. Cannot be seeded."""

    seeded: ClassVar[bool] = False

    kind: Literal["recordio"] = Field(description="the generator is a .rec of its images, as DCFace's")
    path: Location = Field(min_length=1, description="the .rec; ids follow the keys of its images")
    index: Location | None = Field(None, description="its .idx; null: the one of the same name beside it")
