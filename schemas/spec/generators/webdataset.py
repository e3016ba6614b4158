"""Images in tar files."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from schemas.spec.generators.base import Generator


class WebdatasetGenerator(Generator):
    """Tar files of images that some generator has made. Cannot be seeded."""

    seeded: ClassVar[bool] = False

    kind: Literal["webdataset"] = Field(description="the generator is tar files of its images")
    path: str = Field(
        min_length=1,
        description="a .tar, a folder of them, or an s3://, gs:// or az:// prefix; ids follow sorted names",
    )
