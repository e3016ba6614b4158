"""What the gallery's own photos say of whether it counts a person twice: part of `results.json`."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from schemas.run.tables import Role

OVERLAP_VERSION = "1"
"""Raised by every change of our own code that may leave other people out of the cohort."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class MatchingPeople(_Frozen):
    """Two people, by pseudonym, whose photos match as those of one person do. `left_out`: those of the two
    whom the audit leaves out; nobody of two candidates."""

    people: tuple[str, str]
    roles: tuple[Role, Role]
    similarity: float
    left_out: list[str]


class RepeatedPhotos(_Frozen):
    """Photos of one person that are the same file, or of the same template."""

    identity: str
    photos: list[str]


class OddPhoto(_Frozen):
    """A photo that is no more like the person's other photos than a stranger's may be."""

    identity: str
    photo: str
    similarity: float


class OddPhotosResult(_Frozen):
    """Photos of people with two or more, each compared with the mean of the person's others.

    `level`: the similarity that 1 % of photos have to another person's mean; `share`: of the photos that lie
    below it. `photos`: those, unless their share is so large that the recogniser is at fault.
    """

    level: float
    share: float
    photos: list[OddPhoto]


class MatchesResult(_Frozen):
    """All pairs of people, compared by their mean templates.

    `threshold`: `chance_pairs` of the `pairs` are expected to reach it by chance; null where `unchecked` says
    why nobody was compared. `mated_level`: the mean similarity that photos of one person have in all but a
    few people; null if too few have two photos.
    """

    people: int
    pairs: int
    chance_pairs: float
    threshold: float | None
    mated_level: float | None
    noticeable: float | None = Field(
        description="expected share of people whose second folder of as many photos would be noticed"
    )
    unchecked: str | None
    found: list[MatchingPeople]


class OverlapResult(_Frozen):
    """Who may be in the gallery twice, by the templates of one recogniser, by names and by photos."""

    recognizer: str
    matches: MatchesResult
    left_out: list[str] = Field(description="people of the cohort who take no part in the audit")
    alike_names: list[tuple[str, str]] = Field(
        description="people whose names differ in case, spaces or forms of Unicode alone"
    )
    repeated_photos: list[RepeatedPhotos]
    odd_photos: OddPhotosResult | None = Field(description="null where nobody has two photos")
