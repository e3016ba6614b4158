"""What all sources of people share."""

from __future__ import annotations

from pydantic import Field, PositiveInt

from schemas.frozen import Frozen


class PeopleSource(Frozen):
    """One side of the gallery."""

    @property
    def earlier(self) -> str | None:
        """A `gallery.parquet` that was enrolled before, if the side is that."""
        return None

    @property
    def has_photos(self) -> bool:
        """Are there photos to enroll?"""
        return True

    @property
    def has_templates(self) -> bool:
        """Are there templates in place of photos?"""
        return False

    @property
    def has_attributes(self) -> bool:
        """May it bring attributes of its people, for `membership.strata`?"""
        return False


class PhotoSource(PeopleSource):
    """One kind of source of people's photos."""

    kind: str
    at_most: PositiveInt | None = Field(
        None, description="photos of a person at most, chosen by `seed` and their names; null: all"
    )
    seed: int = Field(0, ge=0, lt=2**63, description="chooses the photos where `at_most` is given")
