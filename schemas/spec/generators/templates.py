"""Templates of samples that were made and embedded elsewhere."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from schemas.spec.generators.base import DIGEST_PATTERN, Generator
from schemas.spec.locations import Location


class TemplatesGenerator(Generator):
    """Templates of a generator's images, by the audit's one recogniser. Cannot be seeded, nor shown."""

    seeded: ClassVar[bool] = False
    has_images: ClassVar[bool] = False

    kind: Literal["templates"] = Field(description="the generator is templates of its images")
    path: Location = Field(
        min_length=1,
        description="a .npy of N × d numbers, a .parquet with a column of d numbers a row, a folder or an "
        "s3://, gs:// or az:// prefix of either, or clip-retrieval's folder of `img_emb`; ids are rows",
    )
    template: str = Field("template", min_length=1, description="of Parquet: the column of templates")
    list: Location | None = Field(
        None, description="of one .npy: CSV, TSV, JSON lines or Parquet with a row for each of its rows"
    )
    image: str | None = Field(
        None,
        min_length=1,
        description="the column that names the image, in `list`, the Parquet or clip-retrieval's `metadata`",
    )
    recognizer: str | None = Field(
        None,
        pattern=DIGEST_PATTERN,
        description="`sha256:` and the digest of the model that made the templates, if that is known; it "
        "must be the audit's",
    )

    @model_validator(mode="after")
    def _list_of_an_array(self) -> Self:
        is_array = self.path.lower().endswith(".npy")
        if self.list is not None and not is_array:
            raise ValueError("list names the rows of one .npy: give it with a .npy, and only then")
        if is_array and self.image is not None and self.list is None:
            raise ValueError("image is a column of list, which must be given with it")
        return self
