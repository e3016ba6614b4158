"""What a visitor asks the explorer for: the query string of a page, as a frozen value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, TypeVar
from urllib.parse import urlencode

from pydantic import Field, ValidationError

from schemas.errors import QuestionError
from schemas.frozen import Frozen
from schemas.judgements import Decision

Sort = Literal[
    "identity",
    "role",
    "recognizer",
    "score_name",
    "verdict",
    "p_value",
    "q_value",
    "score",
    "hits",
    "per_million",
    "photos",
    "stratum",
]
Order = Literal["asc", "desc"]
LAST_PAGE = 1_000_000


class ListQuestion(Frozen):
    """Which rows of the scores, in which order. An empty choice is all; None is the headline's own."""

    find: str = Field("", max_length=200)
    role: Literal["", "candidate", "cohort"] = "candidate"
    verdict: Literal["", "leaked", "not detected", "inconclusive"] = ""
    recognizer: str | None = None
    score_name: str | None = None
    stratum: str = ""
    p_from: float | None = Field(None, ge=0, le=1)
    p_to: float | None = Field(None, ge=0, le=1)
    q_from: float | None = Field(None, ge=0, le=1)
    q_to: float | None = Field(None, ge=0, le=1)
    sort: Sort = "p_value"
    order: Order = "asc"
    page: int = Field(1, ge=1, le=LAST_PAGE)

    def link(self, **changes: str | int) -> str:
        """The address of the same list but for `changes`; its first page unless they say another."""
        return address("/", self.model_dump() | {"page": 1} | changes)


class IdentityQuestion(Frozen):
    """One person, and a page of the samples nearest to them by one recogniser; None is the headline's own."""

    id: str
    recognizer: str | None = None
    page: int = Field(1, ge=1, le=LAST_PAGE)

    def link(self, **changes: str | int) -> str:
        """The address of the same page but for `changes`; its first samples unless they say others."""
        return address("/identity", self.model_dump() | {"page": 1} | changes)


class SampleQuestion(Frozen):
    """One sample; of: a person to set it beside."""

    id: int = Field(ge=0, lt=1 << 63)
    of: str = Field("", max_length=64)
    recognizer: str | None = None


class PairQuestion(Frozen):
    """One pair to judge; None is the first that is not judged yet."""

    pair: int | None = Field(None, ge=1, le=LAST_PAGE)


class PairPhotoQuestion(Frozen):
    """One of the photos of a pair's person, counted from 0."""

    pair: int = Field(ge=1, le=LAST_PAGE)
    photo: int = Field(0, ge=0, le=LAST_PAGE)


class Answer(Frozen):
    """What the form of a pair sends."""

    pair: int = Field(ge=1, le=LAST_PAGE)
    decision: Decision
    token: str = Field(max_length=100)


class PhotoQuestion(Frozen):
    """One photo."""

    identity: str
    photo: str


Question = TypeVar("Question", bound=Frozen)
CHOICES = {"role", "verdict", "recognizer", "score_name", "stratum", "find", "id", "identity", "photo"}
"""An empty one of these says something; of the others, it is a field of a form that was left empty."""


def asked(kind: type[Question], given: Sequence[tuple[str, str]]) -> Question:
    """The question that a query string asks. Raises QuestionError, which says what is wrong with it."""
    if len({name for name, _ in given}) < len(given):
        raise QuestionError("every part of the address may be given once")
    try:
        return kind.model_validate({name: value for name, value in given if value or name in CHOICES})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise QuestionError(f"{where}: {first['msg']}") from error


def address(path: str, values: Mapping[str, object]) -> str:
    """The path, and the values that are not None."""
    return f"{path}?{urlencode({name: value for name, value in values.items() if value is not None})}"
