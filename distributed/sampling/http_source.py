"""`generator.kind: http`: a generator behind an API."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import numpy as np
import tenacity
from numpy.typing import NDArray
from PIL import Image as PillowImage

from distributed.sampling.addresses import checked_address
from distributed.sampling.generator import Image, InvalidImage, Loading
from distributed.sampling.secrets import with_secrets
from schemas.errors import ModelError
from schemas.generators.base import Setting
from schemas.generators.http import LOOPBACK, HttpGenerator
from schemas.sweep import Sweep
from schemas.tables import Outcome

REDIRECTS = 3
LONGEST_WAIT = 300.0
TRANSIENT = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
IN_PRINT = ("url", "method", "headers", "body", "image", "withheld_status", "answer_bytes")


class RetryLaterError(Exception):
    """Asking again may help; `wait`: seconds that the server asked for."""

    def __init__(self, message: str, wait: float = 0.0) -> None:
        super().__init__(message)
        self.wait = wait


class TooLongError(Exception):
    """The answer is longer than the spec allows."""


def open_source(spec: HttpGenerator, seed: int, loading: Loading) -> HttpSource:
    """The API as a source; asks nothing yet. Raises SpecError for a secret that is not there."""
    return HttpSource(spec, seed)


def fingerprint_fields(spec: HttpGenerator) -> dict[str, str]:
    told = spec.model_dump(mode="json", include=set(IN_PRINT))
    return {name: json.dumps(value, sort_keys=True) for name, value in told.items()}


def prepare(spec: HttpGenerator) -> None:
    return None


def count(spec: HttpGenerator) -> None:
    return None


class Pace:
    """Lets a fixed number of requests through each second, evenly spaced."""

    def __init__(self, rate: float) -> None:
        self._gap, self._next, self._lock = 1.0 / rate, 0.0, threading.Lock()

    def wait(self) -> None:
        """Return when the next request may be sent."""
        with self._lock:
            now = time.monotonic()
            start = max(now, self._next)
            self._next = start + self._gap
        time.sleep(start - now)


class HttpSource:
    """An image source that asks an API once for every sample."""

    def __init__(self, spec: HttpGenerator, seed: int) -> None:
        self._spec, self._seed, self._sweep, self._pace = spec, seed, Sweep(spec.factors), Pace(spec.rate)
        self._headers = {name: with_secrets(value) for name, value in spec.headers.items()}
        _filled(spec.body, {})
        timeout = httpx.Timeout(spec.read_seconds, connect=spec.connect_seconds)
        self._client = httpx.Client(timeout=timeout, trust_env=False, follow_redirects=False)
        self._local = httpx.URL(spec.url).host in LOOPBACK

    def sample(self, ids: NDArray[np.int64]) -> list[Image | InvalidImage]:
        """In the order of ids. Raises RetryLaterError if an answer did not come, ModelError if none can."""
        draws, settings = self._sweep.draws(ids), self._sweep.settings_of(ids)
        values = [
            {"index": int(one), "seed": sample_seed(self._seed, int(draw))} | dict(setting)
            for one, draw, setting in zip(ids, draws, settings, strict=True)
        ]
        with ThreadPoolExecutor(self._spec.concurrency) as pool:
            waiting = [pool.submit(self._one, one) for one in values]
            try:
                return [one.result() for one in waiting]
            finally:
                pool.shutdown(cancel_futures=True)

    def _one(self, values: Setting) -> Image | InvalidImage:
        backoff = tenacity.wait_random_exponential(multiplier=0.5, max=60)
        retrying = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(self._spec.attempts),
            wait=lambda state: max(backoff(state), _asked_wait(state)),
            retry=tenacity.retry_if_exception_type(RetryLaterError),
            reraise=True,
        )
        try:
            return retrying(self._ask, values)
        except TooLongError:
            return InvalidImage("the answer is longer than generator.answer_bytes", Outcome.TOO_LARGE)

    def _ask(self, values: Setting) -> Image | InvalidImage:
        spec = self._spec
        key = hashlib.sha256(f"{self._seed} {values['index']}".encode()).hexdigest()
        content = None if spec.body is None else json.dumps(_filled(spec.body, values)).encode()
        headers = self._headers | {spec.idempotency_header: key}
        if content is not None:
            headers["Content-Type"] = "application/json"
        answer = self._fetch(spec.method, httpx.URL(spec.url), headers, content)
        if isinstance(answer, InvalidImage):
            return answer
        try:
            return self._image(answer)
        except (ValueError, KeyError, IndexError, TypeError, OSError, SyntaxError, httpx.InvalidURL) as error:
            return InvalidImage(f"{type(error).__name__}: not the image that generator.image describes")

    def _image(self, answer: bytes) -> Image | InvalidImage:
        where = self._spec.image
        if where.pointer is None:
            return decoded(answer)
        found = at_pointer(json.loads(answer), where.pointer)
        if where.kind == "base64":
            return decoded(base64.b64decode(found, validate=True))
        # The secrets are for the API, not for whom an answer names.
        picture = self._fetch("GET", httpx.URL(found), {}, None)
        return picture if isinstance(picture, InvalidImage) else decoded(picture)

    def _fetch(
        self, method: str, url: httpx.URL, headers: dict[str, str], content: bytes | None
    ) -> bytes | InvalidImage:
        home = url
        for _ in range(REDIRECTS + 1):
            same = (url.scheme, url.host, url.port) == (home.scheme, home.host, home.port)
            status, told, answer = self._send(method, url, headers if same else {}, content if same else None)
            if status not in (301, 302, 303, 307, 308):
                return self._accepted(status, told, answer)
            url = url.join(told.get("location", ""))
            if status not in (307, 308):
                method, content = "GET", None
        raise ModelError(f"the API redirects more than {REDIRECTS} times; correct generator.url")

    def _send(
        self, method: str, url: httpx.URL, headers: dict[str, str], content: bytes | None
    ) -> tuple[int, httpx.Headers, bytes]:
        address = checked_address(url, local=self._local)
        self._pace.wait()
        host = {"Host": url.netloc.decode("ascii")}
        pinned = url.copy_with(host=address)
        extensions = {"sni_hostname": url.host}
        try:
            with self._client.stream(
                method, pinned, headers=headers | host, content=content, extensions=extensions
            ) as answer:
                body = b"" if answer.status_code >= 300 else self._body(answer)
                return answer.status_code, answer.headers, body
        except (httpx.HTTPError, OSError) as error:
            # Without its text and its cause: they may hold a header.
            raise RetryLaterError(f"{url.host}: {type(error).__name__}") from None

    def _body(self, answer: httpx.Response) -> bytes:
        held = bytearray()
        for chunk in answer.iter_bytes():
            held += chunk
            if len(held) > self._spec.answer_bytes:
                raise TooLongError
        return bytes(held)

    def _accepted(self, status: int, told: httpx.Headers, answer: bytes) -> bytes | InvalidImage:
        if status in self._spec.withheld_status:
            return InvalidImage(f"the API refused with status {status}", Outcome.WITHHELD)
        if status in (401, 403):
            raise ModelError(f"the API answered {status}: correct the secret that generator.headers name")
        if status in TRANSIENT:
            raise RetryLaterError(f"the API answered {status}", retry_after(told.get("retry-after", "")))
        if status >= 300:
            return InvalidImage(f"the API answered {status}")
        if told.get("content-type", "").startswith("text/"):
            return InvalidImage("the API answered with text")
        return answer


def sample_seed(seed: int, draw: int) -> int:
    """From 0 to 2^31 - 1: a function of both."""
    return int.from_bytes(hashlib.sha256(f"{seed} {draw}".encode()).digest()[:4], "big") >> 1


def retry_after(text: str) -> float:
    """Seconds, from a number or an HTTP date; 0 if it is neither."""
    try:
        wait = float(text) if text.isdigit() else _until(text)
    except (ValueError, TypeError):
        return 0.0
    return min(max(wait, 0.0), LONGEST_WAIT)


def _until(text: str) -> float:
    return (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds()


def _asked_wait(state: tenacity.RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    return error.wait if isinstance(error, RetryLaterError) else 0.0


def at_pointer(content: Any, pointer: str) -> Any:
    """What a JSON pointer (RFC 6901) names. Raises KeyError, IndexError, ValueError or TypeError."""
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        content = content[int(name)] if isinstance(content, list) else content[name]
    return content


def decoded(content: bytes) -> Image:
    """H × W × 3 uint8 RGB. Raises OSError, ValueError or SyntaxError for what is no image."""
    try:
        with PillowImage.open(io.BytesIO(content)) as image:
            return np.asarray(image.convert("RGB"), np.uint8)
    except PillowImage.DecompressionBombError as error:
        raise ValueError(str(error)) from error


def _filled(part: Any, values: Setting) -> Any:
    """The template with its placeholders replaced; one that is a whole text keeps its value's type."""
    if isinstance(part, dict):
        return {name: _filled(one, values) for name, one in part.items()}
    if isinstance(part, list):
        return [_filled(one, values) for one in part]
    if not isinstance(part, str):
        return part
    for name, value in values.items():
        if part == f"{{{name}}}":
            return value
        part = part.replace(f"{{{name}}}", str(value))
    return with_secrets(part)
