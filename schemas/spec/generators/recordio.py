"""Images in MXNet's RecordIO."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from schemas.spec.generators.base import Generator
from schemas.spec.locations import Location


class RecordioGenerator(Generator):
    """A `.rec` of images that some generator has made, as DCFace's. Cannot be seeded."""

    seeded: ClassVar[bool] = False

    kind: Literal["recordio"] = Field(description="the generator is a .rec of its images, as DCFace's")
    path: Location = Field(min_length=1, description="the .rec; ids follow the keys of its images")
    index: Location | None = Field(None, description="its .idx; null: the one of the same name beside it")
