"""Images in tar files."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from schemas.spec.generators.base import Generator
from schemas.spec.locations import Location


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
