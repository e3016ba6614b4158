"""Images in a column of Parquet files."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from schemas.spec.generators.base import Generator


class ParquetGenerator(Generator):
    """Parquet files with a column of encoded images that some generator has made. Cannot be seeded."""

    seeded: ClassVar[bool] = False

    kind: Literal["parquet"] = Field(description="the generator is Parquet files of its images")
    path: str = Field(
        min_length=1,
        description="a .parquet, a folder of them, or an s3://, gs:// or az:// prefix; ids are rows",
    )
    column: str = Field(
        "image", min_length=1, description="bytes of encoded images, or Hugging Face's struct{bytes, path}"
    )
