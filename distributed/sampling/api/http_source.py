"""`generator.kind: http`: a generator behind an API."""

from __future__ import annotations

import base64
import hashlib
import json
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any
from urllib.parse import quote

import httpx
import numpy as np
from numpy.typing import NDArray

from distributed.sampling.api.answers import Answer, AnswerBook, Spending
from distributed.sampling.api.http_client import HttpClient, RefusedError, Request, RetryLaterError
from distributed.sampling.api.pace import Pace
from distributed.sampling.generator import AnsweringSource, Image, InvalidImage, Loading
from distributed.sampling.images.decode import decode
from distributed.storage.secrets import with_secrets
from schemas.run.tables import Outcome
from schemas.spec.generators.base import Setting, Sweep
from schemas.spec.generators.http import PLACEHOLDER, HttpGenerator

IN_PRINT = ("url", "method", "headers", "body", "image", "batch", "withheld_status", "answer_bytes")
AHEAD = 64
"""Images that are asked for before they are needed: the API must not wait for the recogniser."""

PATIENCE = 8
IMAGES = ("image/", "application/octet-stream", "binary/octet-stream")
JSON = ("application/json", "+json", "text/json")
UNUSABLE = (ValueError, KeyError, IndexError, TypeError, httpx.InvalidURL, RecursionError)


def open_source(spec: HttpGenerator, seed: int, loading: Loading) -> HttpSource:
    """The API as a source; asks nothing yet. Raises SpecError for a secret that is not there."""
    return HttpSource(spec, seed, loading)


def open_kept(spec: HttpGenerator, loading: Loading) -> KeptAnswers:
    """The answers that a run has kept, as a source that asks nothing."""
    return KeptAnswers(AnswerBook(spec, loading.run), loading.pixels)


def fingerprint_fields(spec: HttpGenerator) -> dict[str, str]:
    fields = spec.model_dump(mode="json", include=set(IN_PRINT))
    return {name: json.dumps(value, sort_keys=True) for name, value in fields.items()}


class KeptAnswers:
    """An image source of answers that were kept."""

    def __init__(self, book: AnswerBook, pixels: int) -> None:
        self._book, self._pixels = book, pixels

    def sample(self, ids: NDArray[np.int64]) -> list[Image | InvalidImage]:
        """The image of each id, or that its answer was not kept."""
        answers = [self._book.get(int(sample_id)) for sample_id in ids]
        gone = InvalidImage("this answer was not kept")
        return [gone if answer is None else _image(answer, self._pixels) for answer in answers]


class HttpSource(AnsweringSource):
    """An image source that asks an API once for every sample, ahead of need, and writes each answer down."""

    def __init__(self, spec: HttpGenerator, seed: int, loading: Loading) -> None:
        self._spec, self._pixels = spec, loading.pixels
        self._book, self._spending = AnswerBook(spec, loading.run), Spending(spec, loading.run)
        self._api = Api(spec, seed, self._spending)
        self._sweep = Sweep(spec.factors)
        self._pool = ThreadPoolExecutor(spec.concurrency)
        self._waiting: deque[list[int]] = deque()
        self._asked: dict[int, Future[dict[int, Answer]]] = {}
        self._digests: dict[int, str | None] = {}

    def expect(self, ids: NDArray[np.int64]) -> None:
        """Begin to ask for these, in their order; what was expected before is no longer."""
        self._forget()
        self._digests = {}
        self._waiting = deque(self._groups(ids))
        self._fill()

    def sample(self, ids: NDArray[np.int64]) -> list[Image | InvalidImage]:
        """In the order of ids. Raises RetryLaterError if an answer did not come, ModelError if none can, and
        BudgetSpentError; answers that came all the same are written down."""
        wanted = list(dict.fromkeys(int(sample_id) for sample_id in ids))
        if not self._expected.issuperset(wanted):
            self.expect(np.array(wanted, np.int64))
        try:
            images = {sample_id: self._take(sample_id) for sample_id in wanted}
        except BaseException:
            # Ctrl-C too: requests under way are called off, what was spent is written down. Raised again.
            self._forget()
            self._spending.close()
            raise
        return [images[int(sample_id)] for sample_id in ids]

    def digests(self, ids: NDArray[np.int64]) -> list[str | None]:
        """The sha256 of each image as it was sent, hexadecimal; None where there is none."""
        return [self._digests[int(sample_id)] for sample_id in ids]

    def release(self, ids: NDArray[np.int64]) -> None:
        """These are embedded and committed: their answers go, unless they may become evidence."""
        self._spending.close()
        if self._spec.keep == "nothing":
            self._book.delete([int(sample_id) for sample_id in ids])

    @property
    def _expected(self) -> set[int]:
        return self._asked.keys() | {sample_id for group in self._waiting for sample_id in group}

    def _groups(self, ids: NDArray[np.int64]) -> Iterator[list[int]]:
        """Ids that share a request: at most `batch`, of one setting, by their first id."""
        by_setting: dict[int, list[int]] = {}
        for sample_id in ids.tolist():
            by_setting.setdefault(sample_id % len(self._sweep.settings), []).append(sample_id)
        size = self._spec.batch
        parts = [rows[at : at + size] for rows in by_setting.values() for at in range(0, len(rows), size)]
        return iter(sorted(parts))

    def _fill(self) -> None:
        while self._waiting and len(self._asked) < max(AHEAD, 2 * self._spec.concurrency):
            self._submit()

    def _submit(self) -> None:
        group = self._waiting.popleft()
        future = self._pool.submit(self._answered, group)
        self._asked |= dict.fromkeys(group, future)

    def _take(self, sample_id: int) -> Image | InvalidImage:
        while sample_id not in self._asked:
            self._submit()
        answer = self._asked[sample_id].result()[sample_id]
        del self._asked[sample_id]
        self._digests[sample_id] = answer.sha256
        self._fill()
        return _image(answer, self._pixels)

    def _forget(self) -> None:
        """Ask for no more, and wait for what is under way: it is paid for."""
        for future in self._asked.values():
            future.cancel()
        wait(self._asked.values())
        self._waiting, self._asked = deque(), {}

    def _answered(self, group: Sequence[int]) -> dict[int, Answer]:
        """The answers of a group: those that are written down already, and the others from the API."""
        known = {sample_id: self._book.get(sample_id) for sample_id in group}
        missing = [sample_id for sample_id in group if known[sample_id] is None]
        fresh = dict(zip(missing, self._api.ask(missing), strict=True)) if missing else {}
        for sample_id, answer in fresh.items():
            self._book.put(sample_id, answer)
        return {sample_id: answer for sample_id, answer in (known | fresh).items() if answer is not None}


class Api:
    """What is sent to the API, and where the images are in its answers."""

    def __init__(self, spec: HttpGenerator, seed: int, spending: Spending) -> None:
        """Raises SpecError for a secret that is not there, ModelError for a `ca` that is not."""
        self._spec, self._seed, self._sweep, self._spending = spec, seed, Sweep(spec.factors), spending
        self._headers = {name: with_secrets(value) for name, value in spec.headers.items()}
        filled(spec.body, {})
        self._client = HttpClient(spec, Pace(spec.rate, max(PATIENCE, 2 * spec.concurrency)))

    def ask(self, ids: Sequence[int]) -> list[Answer]:
        """One answer for each id; all ids have one setting. Raises what `HttpClient.fetch` raises."""
        try:
            body = self._client.fetch(self._request(ids), self._kinds, self._spending.spend)
        except RefusedError as error:
            return [Answer(outcome=error.outcome, reason=str(error))] * len(ids)
        if self._spec.image.pointer is None:
            return [Answer(body)]
        try:
            content = json.loads(body)
        except (ValueError, RecursionError):
            return [_unusable("the answer is no JSON")] * len(ids)
        return [self._picked(content, self._spec.image.pointer, place) for place in range(len(ids))]

    @property
    def _kinds(self) -> tuple[str, ...]:
        return IMAGES if self._spec.image.kind == "raw" else JSON

    def _request(self, ids: Sequence[int]) -> Request:
        first = np.array(ids[:1], np.int64)
        draw = int(self._sweep.draws(first)[0])
        values = dict(self._sweep.settings_of(first)[0])
        values |= {"index": ids[0], "seed": sample_seed(self._seed, draw), "count": len(ids)}
        named = " ".join(str(number) for number in [self._seed, *ids])
        key = hashlib.sha256(named.encode()).hexdigest()
        url, body = filled_url(self._spec.url, values), self._spec.body
        content = None if body is None else json.dumps(filled(body, values)).encode()
        headers = self._headers | {self._spec.idempotency_header: key}
        if content is not None:
            headers["Content-Type"] = "application/json"
        return Request(self._spec.method, httpx.URL(url), headers, content)

    def _picked(self, content: Any, pointer: str, place: int) -> Answer:
        """The image at one place of an answer."""
        where = pointer.replace("{position}", str(place))
        try:
            value = at_pointer(content, where)
        except UNUSABLE:
            missing = f"the answer holds nothing at {where}"
            return Answer(outcome=Outcome.MISSING, reason=missing)
        try:
            if self._spec.image.kind == "base64":
                return Answer(base64.b64decode(value, validate=True))
            # The secrets are for the API, not for whom an answer names.
            return Answer(self._client.fetch(Request("GET", httpx.URL(value), {}), IMAGES, _nothing))
        except RefusedError as error:
            return Answer(outcome=error.outcome, reason=str(error))
        except RetryLaterError as error:
            return Answer(outcome=Outcome.MISSING, reason=f"the address in the answer failed: {error}")
        except UNUSABLE as error:
            return _unusable(f"{type(error).__name__}: not the {self._spec.image.kind} that was expected")


def _nothing() -> None:
    """A download costs no request of the budget."""


def _unusable(reason: str) -> Answer:
    return Answer(outcome=Outcome.INVALID_IMAGE, reason=reason)


def _image(answer: Answer, pixels: int) -> Image | InvalidImage:
    if answer.outcome is not None:
        return InvalidImage(answer.reason, answer.outcome)
    return decode(answer.content, pixels)


def sample_seed(seed: int, draw: int) -> int:
    """From 0 to 2^31 - 1: a function of both."""
    return int.from_bytes(hashlib.sha256(f"{seed} {draw}".encode()).digest()[:4], "big") >> 1


def at_pointer(content: Any, pointer: str) -> Any:
    """What a JSON pointer (RFC 6901) names. Raises KeyError, IndexError, ValueError or TypeError."""
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        content = content[int(name)] if isinstance(content, list) else content[name]
    return content


def filled_url(url: str, values: Setting) -> str:
    """The address with its placeholders replaced, each escaped."""
    return PLACEHOLDER.sub(lambda match: quote(str(values.get(match[1], match[0])), safe=""), url)


def filled(part: Any, values: Setting) -> Any:
    """The template with its placeholders and secrets replaced; a whole placeholder keeps its value's type."""
    if isinstance(part, dict):
        return {name: filled(inner, values) for name, inner in part.items()}
    if isinstance(part, list):
        return [filled(inner, values) for inner in part]
    if not isinstance(part, str):
        return part
    if (whole := PLACEHOLDER.fullmatch(part)) and whole[1] in values:
        return values[whole[1]]
    # Cut at the placeholders first, so that a value that looks like a secret stays what it is.
    pieces = PLACEHOLDER.split(part)
    return "".join(
        str(values.get(piece, f"{{{piece}}}")) if at % 2 else with_secrets(piece)
        for at, piece in enumerate(pieces)
    )
