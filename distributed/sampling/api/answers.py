"""Answers that were paid for: each is written down before it is used, so that none is asked for twice."""

from __future__ import annotations

import hashlib
import json
import os
import threading
import uuid
from collections.abc import Collection
from dataclasses import asdict, dataclass
from typing import Annotated

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import Field, TypeAdapter, ValidationError

from distributed.storage.secrets import key_of
from distributed.storage.store import RunStore
from schemas.errors import BudgetSpentError, DamagedError, SpecError
from schemas.run.artefacts import ANSWERS_PREFIX, SPENDING_PREFIX
from schemas.run.tables import Outcome
from schemas.spec.generators.http import HttpGenerator

NONCE_BYTES = 12


@dataclass(frozen=True)
class Answer:
    """One image as the API sent it, or the outcome of a sample that has none."""

    content: bytes = b""
    outcome: Outcome | None = None
    reason: str = ""

    @property
    def sha256(self) -> str | None:
        """Hexadecimal digest of the image's bytes; None if there is none."""
        return hashlib.sha256(self.content).hexdigest() if self.outcome is None else None


@dataclass(frozen=True)
class _Head:
    """The first line of an answer's file; what follows is the image, encrypted if `encrypted`."""

    outcome: Outcome | None
    reason: str
    encrypted: bool


@dataclass(frozen=True)
class _Spent:
    """What one process has sent."""

    requests: Annotated[int, Field(ge=0)]


HEAD, SPENT = TypeAdapter(_Head), TypeAdapter(_Spent)


class AnswerBook:
    """The answers that lie in a run, by sample id. Encrypted by AES-256-GCM where the spec names a key."""

    def __init__(self, spec: HttpGenerator, run: str) -> None:
        """Raises SpecError for a key that is not there, or is no key."""
        self._store = RunStore(run)
        self._cipher = None if spec.key is None else AESGCM(key_of(spec.key))

    def get(self, sample_id: int) -> Answer | None:
        """What was answered before; None if nothing was. Raises DamagedError, SpecError for another key."""
        path = _path(sample_id)
        if not self._store.exists(path):
            return None
        first, _, content = self._store.read(path).partition(b"\n")
        try:
            head = HEAD.validate_json(first)
        except ValidationError as error:
            raise DamagedError(f"{path} is damaged: delete it to ask for this sample again") from error
        if head.encrypted:
            content = self._decrypted(content, path)
        return Answer(content, head.outcome, head.reason)

    def put(self, sample_id: int, answer: Answer) -> None:
        """Write an answer down, wholly or not at all."""
        path, content, encrypted = _path(sample_id), answer.content, self._cipher is not None
        if self._cipher is not None:
            nonce = os.urandom(NONCE_BYTES)
            content = nonce + self._cipher.encrypt(nonce, content, path.encode())
        head = json.dumps(asdict(_Head(answer.outcome, answer.reason, encrypted)))
        self._store.write(path, head.encode() + b"\n" + content)

    def keep_only(self, sample_ids: Collection[int]) -> None:
        """Delete all other answers."""
        kept = {_path(sample_id) for sample_id in sample_ids}
        for path in self._store.sizes(ANSWERS_PREFIX):
            if path not in kept:
                self._store.delete(path)

    def delete(self, sample_ids: Collection[int]) -> None:
        """Delete these answers, which may be missing."""
        for sample_id in sample_ids:
            self._store.delete(_path(sample_id))

    def _decrypted(self, content: bytes, path: str) -> bytes:
        if self._cipher is None:
            raise SpecError(f"{path} is encrypted: name its key as generator.key")
        try:
            return self._cipher.decrypt(content[:NONCE_BYTES], content[NONCE_BYTES:], path.encode())
        except InvalidTag:
            raise SpecError(
                f"{path} was encrypted under another key, or is damaged: give the key that generator.key "
                "named when the run began, or delete the file to ask for this sample again"
            ) from None


def _path(sample_id: int) -> str:
    return f"{ANSWERS_PREFIX}/{sample_id:012d}"


class Spending:
    """Counts the requests of a run, all its processes together, and ends it before one too many.

    Each process writes a file of its own. Requests are written down before they are sent, a few at a time: a
    process that is killed may have counted up to `at_once` - 1 that it did not send, and never one too few.
    """

    def __init__(self, spec: HttpGenerator, run: str) -> None:
        self._store, self._path = RunStore(run), f"{SPENDING_PREFIX}/{uuid.uuid4().hex}.json"
        self._allowed, self._at_once = spec.budget.allowed, spec.concurrency
        self._before, self._written, self._sent = requests_sent(self._store), 0, 0
        self._lock = threading.Lock()

    def spend(self) -> None:
        """Count one request. Raises BudgetSpentError if it may not be sent."""
        with self._lock:
            left = self._allowed - self._before - self._sent
            if left <= 0:
                self._write(self._sent)
                raise BudgetSpentError(
                    f"generator.budget allows {self._allowed:,} requests, and all are sent; what they "
                    "brought is kept: raise the budget and run the same command to go on"
                )
            if self._sent == self._written:
                self._write(self._sent + min(left, self._at_once))
            self._sent += 1

    def close(self) -> None:
        """Write down what was truly sent."""
        with self._lock:
            self._write(self._sent)

    def _write(self, requests: int) -> None:
        if requests != self._written:
            self._store.write(self._path, json.dumps(asdict(_Spent(requests))).encode())
            self._written = requests


def requests_sent(store: RunStore) -> int:
    """How many requests a run has sent so far."""
    return sum(store.read_as(SPENT, path).requests for path in store.sizes(SPENDING_PREFIX))
