"""What an API is asked, and what becomes of its answers."""

from __future__ import annotations

import base64
import io
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage

from distributed.sampling.api.http_client import RetryLaterError
from distributed.sampling.generator import InvalidImage
from schemas.run.tables import Outcome
from tests.support.http_runs import BASE64, BUSY, CANARY, CUT_OFF, Run, api_spec
from tests.support.misbehaving import Answer, good, in_json, png, serving


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path / "run")


def pixels(content: bytes) -> bytes:
    return np.asarray(PillowImage.open(io.BytesIO(content))).tobytes()


@pytest.mark.parametrize(("answer", "image"), [(good, {}), (in_json, BASE64)])
def test_images_come_in_the_order_of_ids_with_keys_of_their_own(
    tmp_path: Path, answer: Any, image: dict[str, str]
) -> None:
    with serving(answer) as api:
        samples = Run(tmp_path / "a").sample(api_spec(api.url, image=image), list(range(12)), seed=7)
        again = Run(tmp_path / "b").sample(api_spec(api.url, image=image), [5], seed=7)
    seeds = {headers["Idempotency-Key"]: body["seed"] for headers, body in api.requests}
    assert len(seeds) == 12 and all(0 <= seed < 2**31 for seed in seeds.values())
    assert {sample.tobytes() for sample in samples} == {pixels(png(seed)) for seed in seeds.values()}
    assert np.array_equal(again[0], samples[5]) and len(api.requests) == 13


def test_what_was_answered_is_not_asked_for_again_until_it_is_committed(run: Run) -> None:
    with serving() as api:
        source = run.source(api_spec(api.url))
        first: list[Any] = source.sample(np.arange(6))
        again = run.sample(api_spec(api.url), [3, 0, 3])
        assert len(api.requests) == 6 and run.answers[0] == f"{0:012d}"
        assert np.array_equal(again[0], first[3]) and np.array_equal(again[2], first[3])
        source.release(np.arange(6))
        assert run.answers == []
        run.sample(api_spec(api.url), [3])
    assert len(api.requests) == 7


def test_what_is_expected_is_asked_for_before_it_is_needed(run: Run) -> None:
    with serving() as api:
        source = run.source(api_spec(api.url))
        source.expect(np.arange(20))
        source.sample(np.arange(1))
        until = time.monotonic() + 10
        while len(api.requests) < 20 and time.monotonic() < until:
            time.sleep(0.01)
        samples = source.sample(np.arange(1, 20))
    assert len(api.requests) == 20 and len(samples) == 19


def test_factors_fill_the_body_and_share_the_seed(run: Run) -> None:
    body = {"seed": "{seed}", "prompt": "a face, {age}"}
    with serving() as api:
        run.sample(api_spec(api.url, body=body, factors={"age": ["old", "young"]}), [0, 1])
    bodies = [body for _, body in api.requests]
    assert {body["prompt"] for body in bodies} == {"a face, old", "a face, young"}
    assert len({body["seed"] for body in bodies}) == 1


def test_a_value_is_never_read_as_a_template(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IDLEAK_CANARY", CANARY)
    body = {"seed": "{seed}", "prompt": "a {age}, {index}"}
    with serving() as api:
        run.sample(api_spec(api.url, body=body, factors={"age": ["{env:IDLEAK_CANARY} {seed}"]}), [4])
    assert api.requests[0][1]["prompt"] == "a {env:IDLEAK_CANARY} {seed}, 4"


def test_placeholders_in_the_address_are_escaped(run: Run) -> None:
    def answer(body: dict[str, Any], number: int) -> Answer:
        return 200, {}, png(1)

    with serving(answer) as api:
        url = f"{api.url}?age={{age}}&n={{index}}"
        run.sample(api_spec(url, method="GET", body=None, factors={"age": ["a&n=7#"]}), [9])
    assert api.requests[0][1]["path"] == "/generate?age=a%26n%3D7%23&n=9"


def several(body: dict[str, Any], number: int) -> Answer:
    """As many images as are asked for, at most three."""
    held = [base64.b64encode(png(body["seed"] + at)).decode() for at in range(min(3, body["n"]))]
    return 200, {"Content-Type": "application/json"}, json.dumps({"data": held}).encode()


def test_a_batch_shares_a_request_and_too_few_images_are_missing(run: Run) -> None:
    image = {"kind": "base64", "pointer": "/data/{position}"}
    body = {"seed": "{seed}", "n": "{count}", "age": "{age}"}
    with serving(several) as api:
        given = api_spec(api.url, image=image, body=body, batch=4, factors={"age": [20, 70]})
        samples = run.sample(given, list(range(12)))
    asked = sorted((payload["age"], payload["n"]) for _, payload in api.requests)
    assert asked == [(20, 2), (20, 4), (70, 2), (70, 4)]
    assert len({sample.tobytes() for sample in samples if not isinstance(sample, InvalidImage)}) == 5
    missing = [at for at, sample in enumerate(samples) if isinstance(sample, InvalidImage)]
    assert missing == [6, 7] and all(samples[at].outcome is Outcome.MISSING for at in missing)


def test_an_address_in_the_answer_is_fetched_without_secrets(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IDLEAK_CANARY", CANARY)

    def answer(body: dict[str, Any], number: int) -> Answer:
        if "path" in body:
            return good({"seed": 3}, number)
        return 200, {"Content-Type": "application/json"}, json.dumps({"at": f"{api.url}/3.png"}).encode()

    with serving(answer) as api:
        headers = {"Authorization": "Bearer {env:IDLEAK_CANARY}"}
        samples = run.sample(api_spec(api.url, image={"kind": "url", "pointer": "/at"}, headers=headers), [0])
    assert samples[0].tobytes() == pixels(png(3)) and run.sent == 1
    assert "Authorization" in api.requests[0][0] and "Authorization" not in api.requests[1][0]


@pytest.mark.parametrize("first", [BUSY, (500, {}, b""), CUT_OFF])
def test_what_may_pass_is_tried_again_with_the_same_key(run: Run, first: Answer) -> None:
    def answer(body: dict[str, Any], number: int) -> Answer:
        return first if number == 1 else good(body, number)

    with serving(answer) as api:
        sample = run.sample(api_spec(api.url, read_seconds=1), [3])[0]
    assert not isinstance(sample, InvalidImage) and len(api.requests) == run.sent == 2
    assert len({headers["Idempotency-Key"] for headers, _ in api.requests}) == 1
    assert first != BUSY or api.times[1] - api.times[0] >= 1


def test_attempts_end(run: Run) -> None:
    with serving(lambda body, number: (500, {}, b"")) as api, pytest.raises(RetryLaterError, match="500"):
        run.sample(api_spec(api.url, attempts=2), [0])
    assert len(api.requests) == run.sent == 2


@pytest.mark.parametrize(("drip", "changes"), [(3.0, {"read_seconds": 0.3}), (0.1, {"request_seconds": 0.5})])
def test_a_slow_server_does_not_hold_the_run(run: Run, drip: float, changes: dict[str, float]) -> None:
    with serving(drip=drip) as api, pytest.raises(RetryLaterError):
        start = time.monotonic()
        run.sample(api_spec(api.url, attempts=1, **changes), [0])
    assert time.monotonic() - start < 10


def test_nobody_there_is_tried_again(run: Run) -> None:
    with serving() as api:
        url = api.url
    with pytest.raises(RetryLaterError, match="ConnectError"):
        run.sample(api_spec(url, attempts=2), [0])
