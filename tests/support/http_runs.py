"""An audited API as the sampling sees it: a spec, and a run's folder for repeated requests."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from distributed.sampling.api.answers import requests_sent
from distributed.sampling.api.http_source import HttpSource
from distributed.sampling.generator import InvalidImage, Loading
from distributed.storage.store import RunStore
from schemas.run.tables import Outcome
from schemas.spec.generators.http import HttpGenerator
from tests.support.misbehaving import Answer, serving

CANARY = "canary-5f1e0c77"
BASE64 = {"kind": "base64", "pointer": "/data/0/b64"}
CUT_OFF: Answer = (200, {"Content-Length": "9"}, b"x")
BUSY: Answer = (429, {"Retry-After": "1"}, b"")
BUDGET = {"requests": 1000}


def api_spec(url: str, **changes: Any) -> HttpGenerator:
    given = {"kind": "http", "url": url, "body": {"seed": "{seed}"}, "rate": 500, "budget": BUDGET} | changes
    return HttpGenerator.model_validate(given)


@dataclass(frozen=True)
class Run:
    """A run's folder, for repeated requests."""

    folder: Path

    def source(self, generator: HttpGenerator, seed: int = 1) -> HttpSource:
        return HttpSource(generator, seed, Loading("cpu", 1, run=str(self.folder)))

    def sample(self, generator: HttpGenerator, ids: list[int], seed: int = 1) -> list[Any]:
        """Images of which nothing is committed."""
        source = self.source(generator, seed)
        samples = source.sample(np.array(ids, np.int64))
        source.release(np.array([], np.int64))
        return samples

    @property
    def sent(self) -> int:
        return requests_sent(RunStore(str(self.folder)))

    @property
    def answers(self) -> list[str]:
        return [path.name for path in sorted((self.folder / "answers").glob("*"))]


def outcome_of(run: Run, status: int, headers: dict[str, str], content: bytes, **changes: Any) -> Outcome:
    with serving(lambda body, number: (status, headers, content)) as api:
        sample = run.sample(api_spec(api.url, **changes), [0])[0]
    assert isinstance(sample, InvalidImage)
    return sample.outcome
