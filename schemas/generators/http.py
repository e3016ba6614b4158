"""A generator behind an HTTP API."""

from __future__ import annotations

import re
from typing import ClassVar, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, JsonValue, PositiveInt, model_validator

from schemas.frozen import Frozen
from schemas.generators.base import FactorName, FactorValues, Generator

SECRET = re.compile(r"\{(env|file):([^{}]+)\}")
SECRET_HEADERS = re.compile(r"(?i)auth|cookie|key|secret|token")
LOOPBACK = ("localhost", "127.0.0.1", "::1")
RESERVED = ("seed", "index")


class HttpImage(Frozen):
    """Where the image is in the answer."""

    kind: Literal["raw", "base64", "url"] = Field("raw", description="the answer, base64, or an address")
    pointer: str | None = Field(
        None, pattern="^/", description="JSON pointer of the base64 or the address, as /data/0/image"
    )

    @model_validator(mode="after")
    def _pointer_where_json(self) -> Self:
        if (self.pointer is None) != (self.kind == "raw"):
            raise ValueError("base64 and url need a pointer, raw takes none")
        return self


class HttpGenerator(Generator):
    """A generator behind an HTTP API. An answer cannot be asked for again without paying again."""

    seeded: ClassVar[bool] = False
    repeatable: ClassVar[bool] = False
    one_worker: ClassVar[bool] = True
    paths: ClassVar[tuple[str, ...]] = ()

    kind: Literal["http"] = Field(description="the generator is an HTTP API")
    url: str = Field(min_length=1, description="https, or http on this machine")
    method: Literal["GET", "POST"] = Field("POST", description="the request's method")
    headers: dict[str, str] = Field(
        default_factory=dict, description="secrets only as `{env:NAME}` or `{file:/absolute/path}`"
    )
    body: dict[str, JsonValue] | None = Field(
        None, description="JSON; texts may hold `{seed}`, `{index}`, `{<factor>}`, and secrets as in headers"
    )
    image: HttpImage = Field(default_factory=HttpImage, description="where the image is in the answer")
    factors: dict[FactorName, FactorValues] = Field(
        default_factory=dict, description="values of placeholders that are all tried"
    )
    idempotency_header: str = Field("Idempotency-Key", description="tells the API which sample this is")
    withheld_status: tuple[int, ...] = Field((), description="statuses by which the API refuses an image")
    rate: float = Field(1.0, gt=0, description="requests per second at most, retries included")
    concurrency: PositiveInt = Field(4, description="requests under way at once")
    attempts: PositiveInt = Field(5, description="times that a sample is asked for")
    connect_seconds: float = Field(10.0, gt=0, description="longest time to connect")
    read_seconds: float = Field(60.0, gt=0, description="longest silence of the server")
    answer_bytes: PositiveInt = Field(32_000_000, description="a longer answer is cut off: `too_large`")

    @model_validator(mode="after")
    def _safe(self) -> Self:
        parts = urlsplit(self.url)
        if parts.scheme != "https" and (parts.scheme, parts.hostname in LOOPBACK) != ("http", True):
            raise ValueError("url must be https; http is for this machine alone")
        if parts.username or parts.password:
            raise ValueError("url must hold no password; put {env:NAME} into a header")
        for name, value in self.headers.items():
            if SECRET_HEADERS.search(name) and not SECRET.search(value):
                raise ValueError(f"headers.{name} looks like a secret; write {{env:NAME}} and set NAME")
        if taken := set(self.factors) & set(RESERVED):
            raise ValueError(f"factors.{min(taken)} is a name that is taken; choose another")
        return self
