"""A generator behind an HTTP API."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import ClassVar, Literal, Self
from urllib.parse import parse_qsl, urlsplit

from pydantic import Field, JsonValue, PositiveInt, model_validator

from schemas.frozen import Frozen
from schemas.spec.generators.base import FactorName, FactorValues, Generator
from schemas.spec.locations import Location
from schemas.spec.secret_names import SECRET

SECRET_PATTERN = r"^\{(env:[^{}]+|file:/[^{}]+)\}$"
SECRET_HEADERS = re.compile(r"(?i)auth|cookie|key|secret|token|passw|credential")
SECRET_NAMES = re.compile(
    r"(?i)(^|[._-])(api_?key|key|secret|token|password|auth|authorization|credentials?)$"
)
SECRET_VALUES = re.compile(r"(?i)^\s*(bearer|basic|token)\s+\S")
PLACEHOLDER = re.compile(r"\{(\w+)\}")
HOST = re.compile(r"[A-Za-z0-9._-]+|[0-9A-Fa-f:.]+")
HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
LOOPBACK = ("localhost", "127.0.0.1", "::1")
RESERVED = ("seed", "index", "count", "position")


class HttpImage(Frozen):
    """Where the image is in the answer."""

    kind: Literal["raw", "base64", "url"] = Field("raw", description="the answer, base64, or an address")
    pointer: str | None = Field(
        None,
        pattern="^/",
        description="JSON pointer of the base64 or the address: /data/0/image, or /data/{position}/image",
    )

    @model_validator(mode="after")
    def _pointer_where_json(self) -> Self:
        if (self.pointer is None) != (self.kind == "raw"):
            raise ValueError("base64 and url need a pointer, raw takes none")
        return self


class HttpBudget(Frozen):
    """What a run may spend, all its starts together. Retries count: the API may charge for them."""

    requests: PositiveInt = Field(description="requests sent at most, retries included")
    price: float = Field(0.0, ge=0, description="what one request costs, in the currency of `money`")
    money: float | None = Field(None, ge=0, description="what may be spent at most")

    @model_validator(mode="after")
    def _money_has_a_price(self) -> Self:
        if self.money is not None and self.price == 0:
            raise ValueError("money needs the price of a request")
        return self

    @property
    def allowed(self) -> int:
        """Requests that may be sent."""
        if self.money is None:
            return self.requests
        # Slightly more, so that 0.3 / 0.1 is 3.
        return min(self.requests, int(self.money / self.price * (1 + 1e-9)))


class HttpGenerator(Generator):
    """A generator behind an HTTP API. An answer cannot be asked for again without paying again."""

    seeded: ClassVar[bool] = False
    repeatable: ClassVar[bool] = False
    one_worker: ClassVar[bool] = True
    kind: Literal["http"] = Field(description="the generator is an HTTP API")
    url: str = Field(
        min_length=1, description="https, or http on this machine; placeholders may stand after its host"
    )
    method: Literal["GET", "POST"] = Field("POST", description="the request's method")
    headers: dict[str, str] = Field(
        default_factory=dict, description="secrets only as `{env:NAME}` or `{file:/absolute/path}`"
    )
    body: dict[str, JsonValue] | None = Field(
        None,
        description="JSON; may hold `{seed}`, `{index}`, `{count}`, `{<factor>}`; secrets as in headers",
    )
    image: HttpImage = Field(default_factory=HttpImage, description="where the image is in the answer")
    batch: PositiveInt = Field(1, description="images per request; the body asks for `{count}`")
    factors: dict[FactorName, FactorValues] = Field(
        default_factory=dict, description="values of placeholders that are all tried"
    )
    budget: HttpBudget = Field(description="what the run may spend")
    keep: Literal["nothing", "evidence"] = Field(
        "nothing", description="evidence: the answers nearest to candidates are kept, encrypted"
    )
    key: str | None = Field(
        None,
        pattern=SECRET_PATTERN,
        description="names the secret that encrypts answers: 32 bytes in base64, as `{env:NAME}`",
    )
    idempotency_header: str = Field("Idempotency-Key", description="tells the API which sample this is")
    withheld_status: tuple[int, ...] = Field((), description="statuses by which the API refuses an image")
    rate: float = Field(1.0, gt=0, description="requests per second at most, retries included")
    concurrency: PositiveInt = Field(4, description="requests under way at once")
    attempts: PositiveInt = Field(5, description="times that a sample is asked for")
    connect_seconds: float = Field(10.0, gt=0, description="longest time to connect")
    read_seconds: float = Field(60.0, gt=0, description="longest silence of the server")
    request_seconds: float = Field(300.0, gt=0, description="longest time of one request in all")
    answer_bytes: PositiveInt = Field(32_000_000, description="a longer answer is cut off: `too_large`")
    ca: Location | None = Field(
        None, description="PEM file of the authority that signs the API's certificate"
    )

    @model_validator(mode="after")
    def _safe(self) -> Self:
        parts = urlsplit(self.url)
        if "{" in parts.netloc:
            raise ValueError("url must name its host; placeholders may stand after it")
        # urlsplit itself raises ValueError for an invalid port.
        if not HOST.fullmatch(parts.hostname or "") or parts.port == 0:
            raise ValueError("url must name its host in ASCII, and a port from 1 to 65535 if any")
        if parts.scheme != "https" and (parts.scheme, parts.hostname in LOOPBACK) != ("http", True):
            raise ValueError("url must be https; http is for this machine alone")
        if parts.username or parts.password:
            raise ValueError("url must hold no password; put {env:NAME} into a header")
        if SECRET.search(self.url):
            raise ValueError("url must hold no secret, as servers log it; put {env:NAME} into a header")
        for where, name, value in self._texts():
            names = SECRET_HEADERS if where.startswith("headers.") else SECRET_NAMES
            if (names.search(name) or SECRET_VALUES.search(value)) and not SECRET.search(value):
                raise ValueError(f"{where} looks like a secret; write {{env:NAME}} and set NAME")
        return self

    @model_validator(mode="after")
    def _headers_can_be_sent(self) -> Self:
        for name, value in [*self.headers.items(), (self.idempotency_header, "")]:
            if not HEADER.fullmatch(name) or not (value.isascii() and value.isprintable()):
                raise ValueError(f"headers: {name!r} and its value must be one line of ASCII, as HTTP's are")
        return self

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if taken := set(self.factors) & set(RESERVED):
            raise ValueError(f"factors.{min(taken)} is a name that is taken; choose another")
        known = {"seed", "index", "count", *self.factors}
        for where, _, value in [("url", "", self.url), *self._texts()]:
            if unknown := set(PLACEHOLDER.findall(value)) - known:
                raise ValueError(f"{where} holds {{{min(unknown)}}}, which is none of {sorted(known)}")
        if self.keep == "evidence" and self.key is None:
            raise ValueError("keep: evidence needs a key, as {env:NAME}; idleak writes no face in clear text")
        if self.batch > 1 and "{position}" not in (self.image.pointer or ""):
            raise ValueError("a batch needs image.pointer with {position}, as /data/{position}/image")
        return self

    def least_seconds(self, samples: int) -> float:
        return math.ceil(samples / self.batch) / self.rate

    def _texts(self) -> Iterator[tuple[str, str, str]]:
        """Where a text stands, its name, and the text: headers, the query, and the body at any depth."""
        yield from ((f"headers.{name}", name, value) for name, value in self.headers.items())
        for name, value in parse_qsl(urlsplit(self.url).query, keep_blank_values=True):
            yield f"url's {name}", name, value
        yield from _texts_of("body", "", self.body)


def _texts_of(where: str, name: str, part: JsonValue) -> Iterator[tuple[str, str, str]]:
    if isinstance(part, str):
        yield where, name, part
    elif isinstance(part, dict):
        for key, value in part.items():
            yield from _texts_of(f"{where}.{key}", key, value)
    elif isinstance(part, list):
        for item in part:
            yield from _texts_of(where, name, item)
