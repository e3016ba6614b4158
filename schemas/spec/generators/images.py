"""A folder of images."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from schemas.spec.generators.base import Generator


class ImagesGenerator(Generator):
    """A folder of images that some generator has made. Cannot be seeded."""

    seeded: ClassVar[bool] = False

    kind: Literal["images"] = Field(description="the generator is a folder of its images")
    path: str = Field(min_length=1, description="the folder; sorted relative paths are the sample ids")
