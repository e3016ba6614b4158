"""Requests to an API: paced, retried, to checked addresses alone, and the answers that may be used."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar

import httpx
import tenacity

from distributed.sampling.api.addresses import checked_address
from distributed.sampling.api.pace import LONGEST_PAUSE, Pace
from schemas.errors import ModelError
from schemas.run.tables import Outcome
from schemas.spec.generators.http import LOOPBACK, HttpGenerator

REDIRECTS = 3
REDIRECTED = (301, 302, 303, 307, 308)
TRANSIENT = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
REFUSED = frozenset({401, 402, 403})
T = TypeVar("T")


class RetryLaterError(Exception):
    """Asking again may help; `wait`: seconds that the server asked for."""

    def __init__(self, message: str, wait: float = 0.0) -> None:
        super().__init__(message)
        self.wait = wait


class RefusedError(Exception):
    """Asking again does not help; the message is one line."""

    def __init__(self, message: str, outcome: Outcome = Outcome.INVALID_IMAGE) -> None:
        super().__init__(message)
        self.outcome = outcome


@dataclass(frozen=True)
class Request:
    """What is sent. `headers` may hold secrets."""

    method: str
    url: httpx.URL
    headers: dict[str, str]
    content: bytes | None = None


class HttpClient:
    """Sends requests as one spec allows them, from many threads."""

    def __init__(self, spec: HttpGenerator, pace: Pace) -> None:
        """Raises ModelError for a `ca` that is not there."""
        self._spec, self._pace = spec, pace
        self._local = httpx.URL(spec.url).host in LOOPBACK
        timeout = httpx.Timeout(spec.read_seconds, connect=spec.connect_seconds, pool=None)
        limits = httpx.Limits(max_connections=spec.concurrency)
        # Proxies and authorities that the environment names would get around the check of addresses.
        self._client = httpx.Client(
            timeout=timeout, limits=limits, trust_env=False, verify=_authorities(spec.ca)
        )

    def fetch(self, request: Request, kinds: tuple[str, ...], before: Callable[[], None]) -> bytes:
        """The answer's body, of one of these content types; tried again where that may help.

        `before` is called before each attempt. Raises RetryLaterError once the attempts are spent,
        RefusedError for an answer that is of no use, ModelError where no request can succeed.
        """
        backoff = tenacity.wait_random_exponential(multiplier=0.5, max=60)
        retrying = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(self._spec.attempts),
            wait=lambda state: max(backoff(state), _asked_wait(state)),
            retry=tenacity.retry_if_exception_type(RetryLaterError),
            reraise=True,
        )

        def attempt() -> bytes:
            before()
            return self._followed(request, kinds)

        return retrying(attempt)

    def close(self) -> None:
        self._client.close()

    def _followed(self, request: Request, kinds: tuple[str, ...]) -> bytes:
        """The answer, redirects followed; secrets and content go to the first host alone."""
        home = _origin(request.url)
        for _ in range(REDIRECTS + 1):
            status, headers, body = self._paced(request)
            if status not in REDIRECTED:
                return self._accepted(status, headers, body, kinds)
            request = _redirected(request, status, headers.get("location", ""), home)
        raise ModelError(f"the API redirects more than {REDIRECTS} times; correct generator.url")

    def _paced(self, request: Request) -> tuple[int, httpx.Headers, bytes]:
        sent = self._pace.wait()
        try:
            status, headers, body = self._send(request)
        except RetryLaterError:
            self._pace.failed(sent)
            raise
        if status in TRANSIENT:
            asked = retry_after(headers.get("retry-after", ""))
            self._pace.failed(sent, asked)
            raise RetryLaterError(f"the API answered {status}", asked)
        self._pace.succeeded()
        return status, headers, body

    def _send(self, request: Request) -> tuple[int, httpx.Headers, bytes]:
        host = request.url.host
        try:
            # The address that was checked is the one that is connected to, whatever its name says next.
            pinned = request.url.copy_with(host=checked_address(request.url, local=self._local))
            headers = request.headers | {"Host": request.url.netloc.decode("ascii")}
            with self._client.stream(
                request.method,
                pinned,
                headers=headers,
                content=request.content,
                extensions={"sni_hostname": host},
            ) as answer:
                body = b"" if answer.status_code >= 300 else self._body(answer)
                return answer.status_code, answer.headers, body
        except (httpx.HTTPError, OSError) as error:
            # Without its text and its cause: they may hold a header.
            raise RetryLaterError(f"{host}: {type(error).__name__}") from None

    def _body(self, answer: httpx.Response) -> bytes:
        held, end = bytearray(), time.monotonic() + self._spec.request_seconds
        for chunk in answer.iter_bytes():
            held += chunk
            if len(held) > self._spec.answer_bytes:
                raise RefusedError("the answer is longer than generator.answer_bytes", Outcome.TOO_LARGE)
            if time.monotonic() > end:
                raise RetryLaterError(f"not answered within {self._spec.request_seconds:g} s")
        return bytes(held)

    def _accepted(self, status: int, headers: httpx.Headers, body: bytes, kinds: tuple[str, ...]) -> bytes:
        if status in self._spec.withheld_status:
            raise RefusedError(f"the API refused with status {status}", Outcome.WITHHELD)
        if status in REFUSED:
            raise ModelError(
                f"the API answered {status}: correct the secret that generator.headers name, or the account"
            )
        if status >= 300:
            raise RefusedError(f"the API answered {status}")
        content_type = headers.get("content-type", "").partition(";")[0].strip().lower()
        if content_type and not any(
            content_type.startswith(kind) or content_type.endswith(kind) for kind in kinds
        ):
            raise RefusedError(f"the API answered with the content type {content_type[:40]!r}")
        return body


def _authorities(path: str | None) -> ssl.SSLContext:
    context = httpx.create_ssl_context(trust_env=False)
    try:
        if path is not None:
            context.load_verify_locations(cafile=path)
    except (OSError, ssl.SSLError) as error:
        raise ModelError(f"generator.ca: {path} is no readable PEM file of an authority ({error})") from error
    return context


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def _redirected(request: Request, status: int, location: str, home: tuple[str, str, int | None]) -> Request:
    try:
        url = request.url.join(location)
    except httpx.InvalidURL as error:
        raise ModelError("the API redirects to what is no address; correct generator.url") from error
    same = _origin(url) == home
    keeps = same and status in (307, 308)
    return Request(
        request.method if keeps else "GET",
        url,
        request.headers if same else {},
        request.content if keeps else None,
    )


def retry_after(text: str) -> float:
    """Seconds, from a number or an HTTP date; 0 if it is neither."""
    try:
        wait = float(text) if text.isdigit() else _until(text)
    except (ValueError, TypeError):
        return 0.0
    return min(max(wait, 0.0), LONGEST_PAUSE)


def _until(text: str) -> float:
    return (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds()


def _asked_wait(state: tenacity.RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    return error.wait if isinstance(error, RetryLaterError) else 0.0
