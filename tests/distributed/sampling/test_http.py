from __future__ import annotations

import base64
import io
import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image as PillowImage
from pydantic import ValidationError

from distributed.sampling.api.addresses import checked_address
from distributed.sampling.api.answers import requests_sent
from distributed.sampling.api.http_client import RetryLaterError, retry_after
from distributed.sampling.api.http_source import HttpSource, KeptAnswers, fingerprint_fields, open_kept
from distributed.sampling.generator import InvalidImage, Loading
from distributed.storage.store import RunStore
from schemas.errors import BudgetSpentError, ModelError, SpecError
from schemas.run.tables import Outcome
from schemas.spec.generators.http import HttpBudget, HttpGenerator
from schemas.spec.load import load_spec
from tests.support.certificates import Authority
from tests.support.misbehaving import Answer, good, in_json, png, serving

ROOT = Path(__file__).parents[3]
CANARY = "canary-5f1e0c77"
BASE64 = {"kind": "base64", "pointer": "/data/0/b64"}
CUT_OFF: Answer = (200, {"Content-Length": "9"}, b"x")
BUSY: Answer = (429, {"Retry-After": "1"}, b"")
BUDGET = {"requests": 1000}


def spec(url: str, **changes: Any) -> HttpGenerator:
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


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path / "run")


def outcome_of(run: Run, status: int, headers: dict[str, str], content: bytes, **changes: Any) -> Outcome:
    with serving(lambda body, number: (status, headers, content)) as api:
        sample = run.sample(spec(api.url, **changes), [0])[0]
    assert isinstance(sample, InvalidImage)
    return sample.outcome


def pixels(content: bytes) -> bytes:
    return np.asarray(PillowImage.open(io.BytesIO(content))).tobytes()


@pytest.mark.parametrize(("answer", "image"), [(good, {}), (in_json, BASE64)])
def test_images_come_in_the_order_of_ids_with_keys_of_their_own(
    tmp_path: Path, answer: Any, image: dict[str, str]
) -> None:
    with serving(answer) as api:
        samples = Run(tmp_path / "a").sample(spec(api.url, image=image), list(range(12)), seed=7)
        again = Run(tmp_path / "b").sample(spec(api.url, image=image), [5], seed=7)
    seeds = {headers["Idempotency-Key"]: body["seed"] for headers, body in api.requests}
    assert len(seeds) == 12 and all(0 <= seed < 2**31 for seed in seeds.values())
    assert {sample.tobytes() for sample in samples} == {pixels(png(seed)) for seed in seeds.values()}
    assert np.array_equal(again[0], samples[5]) and len(api.requests) == 13


def test_what_was_answered_is_not_asked_for_again_until_it_is_committed(run: Run) -> None:
    with serving() as api:
        source = run.source(spec(api.url))
        first: list[Any] = source.sample(np.arange(6))
        again = run.sample(spec(api.url), [3, 0, 3])
        assert len(api.requests) == 6 and run.answers[0] == f"{0:012d}"
        assert np.array_equal(again[0], first[3]) and np.array_equal(again[2], first[3])
        source.release(np.arange(6))
        assert run.answers == []
        run.sample(spec(api.url), [3])
    assert len(api.requests) == 7


def test_what_is_expected_is_asked_for_before_it_is_needed(run: Run) -> None:
    with serving() as api:
        source = run.source(spec(api.url))
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
        run.sample(spec(api.url, body=body, factors={"age": ["old", "young"]}), [0, 1])
    bodies = [body for _, body in api.requests]
    assert {body["prompt"] for body in bodies} == {"a face, old", "a face, young"}
    assert len({body["seed"] for body in bodies}) == 1


def test_a_value_is_never_read_as_a_template(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IDLEAK_CANARY", CANARY)
    body = {"seed": "{seed}", "prompt": "a {age}, {index}"}
    with serving() as api:
        run.sample(spec(api.url, body=body, factors={"age": ["{env:IDLEAK_CANARY} {seed}"]}), [4])
    assert api.requests[0][1]["prompt"] == "a {env:IDLEAK_CANARY} {seed}, 4"


def test_placeholders_in_the_address_are_escaped(run: Run) -> None:
    def answer(body: dict[str, Any], number: int) -> Answer:
        return 200, {}, png(1)

    with serving(answer) as api:
        url = f"{api.url}?age={{age}}&n={{index}}"
        run.sample(spec(url, method="GET", body=None, factors={"age": ["a&n=7#"]}), [9])
    assert api.requests[0][1]["path"] == "/generate?age=a%26n%3D7%23&n=9"


def several(body: dict[str, Any], number: int) -> Answer:
    """As many images as are asked for, at most three."""
    held = [base64.b64encode(png(body["seed"] + at)).decode() for at in range(min(3, body["n"]))]
    return 200, {"Content-Type": "application/json"}, json.dumps({"data": held}).encode()


def test_a_batch_shares_a_request_and_too_few_images_are_missing(run: Run) -> None:
    image = {"kind": "base64", "pointer": "/data/{position}"}
    body = {"seed": "{seed}", "n": "{count}", "age": "{age}"}
    with serving(several) as api:
        given = spec(api.url, image=image, body=body, batch=4, factors={"age": [20, 70]})
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
        samples = run.sample(spec(api.url, image={"kind": "url", "pointer": "/at"}, headers=headers), [0])
    assert samples[0].tobytes() == pixels(png(3)) and run.sent == 1
    assert "Authorization" in api.requests[0][0] and "Authorization" not in api.requests[1][0]


@pytest.mark.parametrize("first", [BUSY, (500, {}, b""), CUT_OFF])
def test_what_may_pass_is_tried_again_with_the_same_key(run: Run, first: Answer) -> None:
    def answer(body: dict[str, Any], number: int) -> Answer:
        return first if number == 1 else good(body, number)

    with serving(answer) as api:
        sample = run.sample(spec(api.url, read_seconds=1), [3])[0]
    assert not isinstance(sample, InvalidImage) and len(api.requests) == run.sent == 2
    assert len({headers["Idempotency-Key"] for headers, _ in api.requests}) == 1
    assert first != BUSY or api.times[1] - api.times[0] >= 1


def test_attempts_end(run: Run) -> None:
    with serving(lambda body, number: (500, {}, b"")) as api, pytest.raises(RetryLaterError, match="500"):
        run.sample(spec(api.url, attempts=2), [0])
    assert len(api.requests) == run.sent == 2


@pytest.mark.parametrize(("drip", "changes"), [(3.0, {"read_seconds": 0.3}), (0.1, {"request_seconds": 0.5})])
def test_a_slow_server_does_not_hold_the_run(run: Run, drip: float, changes: dict[str, float]) -> None:
    with serving(drip=drip) as api, pytest.raises(RetryLaterError):
        start = time.monotonic()
        run.sample(spec(api.url, attempts=1, **changes), [0])
    assert time.monotonic() - start < 10


def test_nobody_there_is_tried_again(run: Run) -> None:
    with serving() as api:
        url = api.url
    with pytest.raises(RetryLaterError, match="ConnectError"):
        run.sample(spec(url, attempts=2), [0])


NO_IMAGE: list[tuple[Outcome, int, dict[str, str], bytes, dict[str, Any]]] = [
    (Outcome.INVALID_IMAGE, 200, {"Content-Type": "image/png"}, b"garbage", {}),
    (Outcome.INVALID_IMAGE, 200, {"Content-Type": "text/html"}, png(1), {}),
    (Outcome.INVALID_IMAGE, 200, {"Content-Type": "image/png"}, b'{"data": []}', {"image": BASE64}),
    (Outcome.INVALID_IMAGE, 200, {}, b'{"data": [{"b64": "***"}]}', {"image": BASE64}),
    (Outcome.INVALID_IMAGE, 200, {}, b"[" * 100_000, {"image": BASE64}),
    (Outcome.MISSING, 200, {}, b'{"data": []}', {"image": BASE64}),
    (Outcome.TOO_LARGE, 200, {}, bytes(5000), {"answer_bytes": 1000}),
    (Outcome.WITHHELD, 422, {}, b"", {"withheld_status": [422]}),
    (Outcome.INVALID_IMAGE, 404, {}, b"", {}),
]


@pytest.mark.parametrize(("outcome", "status", "headers", "content", "changes"), NO_IMAGE)
def test_what_is_no_image_has_its_outcome_and_is_not_paid_for_again(
    run: Run, outcome: Outcome, status: int, headers: dict[str, str], content: bytes, changes: dict[str, Any]
) -> None:
    assert outcome_of(run, status, headers, content, **changes) is outcome
    # The same run, with no server to answer.
    kept = run.sample(spec("http://127.0.0.1:9/", **changes), [0])[0]
    assert isinstance(kept, InvalidImage) and kept.outcome is outcome and run.sent == 1


@pytest.mark.parametrize("target", ["http://169.254.169.254/", "https://10.0.0.1/", "https://93.184.215.14/"])
def test_a_local_api_leads_nowhere_else(run: Run, target: str) -> None:
    with serving(lambda body, number: (302, {"Location": target}, b"")) as api, pytest.raises(ModelError):
        run.sample(spec(api.url), [0])
    assert len(api.requests) == 1


def test_redirects_end(run: Run) -> None:
    def answer(body: dict[str, Any], number: int) -> Answer:
        return 302, {"Location": f"/{number}"}, b""

    with serving(answer) as api, pytest.raises(ModelError, match="redirects more than 3"):
        run.sample(spec(api.url), [0])
    assert len(api.requests) == 4


@pytest.mark.parametrize(("status", "method"), [(302, "GET"), (307, "POST")])
def test_another_port_is_another_host_and_gets_no_secret(
    run: Run, monkeypatch: pytest.MonkeyPatch, status: int, method: str
) -> None:
    monkeypatch.setenv("IDLEAK_CANARY", CANARY)
    with serving(lambda body, number: good({"seed": 5}, number)) as other:
        there = other.url
        with serving(lambda body, number: (status, {"Location": there}, b"")) as api:
            run.sample(spec(api.url, headers={"X-Api-Key": "{env:IDLEAK_CANARY}"}), [0])
        moved: Answer = (status, {"Location": "/there"}, b"")
        with serving(lambda body, number: moved if number == 1 else good({"seed": 5}, 0)) as home:
            run.sample(spec(home.url, headers={"X-Api-Key": "{env:IDLEAK_CANARY}"}), [1])
    assert other.requests[0][1] == {"path": "/generate"} and CANARY not in str(other.requests)
    assert [headers["X-Api-Key"] for headers, _ in home.requests] == [CANARY] * 2
    assert ("path" in home.requests[1][1]) is (method == "GET")


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "10.1.2.3",
        "169.254.169.254",
        "[::1]",
        "[::ffff:10.0.0.1]",
        "[::ffff:169.254.169.254]",
        "[64:ff9b::a9fe:a9fe]",
        "224.0.0.1",
        "[fd00::1]",
        "[fe80::1]",
        "0.0.0.0",
        "100.64.0.1",
        "2130706433",
        "0x7f000001",
        "localhost",
    ],
)
def test_addresses_that_are_not_public_are_refused(host: str) -> None:
    with pytest.raises(ModelError, match="not allowed"):
        checked_address(httpx.URL(f"https://{host}/"), local=False)


def test_a_public_address_is_allowed_with_https_alone() -> None:
    assert checked_address(httpx.URL("https://93.184.215.14/"), local=False) == "93.184.215.14"
    with pytest.raises(ModelError, match="without https"):
        checked_address(httpx.URL("http://93.184.215.14/"), local=False)


def test_a_certificate_must_be_for_the_name_although_the_address_is_connected_to(
    run: Run, tmp_path: Path
) -> None:
    authority = Authority(tmp_path)
    with serving(tls=authority.server("localhost")) as api:
        assert not isinstance(run.sample(spec(api.url, ca=str(authority.path)), [0])[0], InvalidImage)
        with pytest.raises(RetryLaterError):
            run.sample(spec(api.url, attempts=1), [1])
    with serving(tls=authority.server("example.org")) as api, pytest.raises(RetryLaterError):
        run.sample(spec(api.url, ca=str(authority.path), attempts=1), [2])
    with pytest.raises(ModelError, match="PEM"):
        run.source(spec("https://localhost/", ca=str(tmp_path / "none.pem")))


def test_retry_after_is_seconds_or_a_date() -> None:
    assert retry_after("7") == 7.0
    assert 20 < retry_after(format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)) <= 30
    assert retry_after("soon") == 0.0


def test_a_spent_budget_ends_the_run_and_a_larger_one_goes_on(run: Run) -> None:
    with serving() as api:
        with pytest.raises(BudgetSpentError, match="allows 5 requests"):
            run.sample(spec(api.url, budget={"requests": 5}), list(range(8)))
        assert len(api.requests) == run.sent == len(run.answers) == 5
        samples = run.sample(spec(api.url, budget={"requests": 8}), list(range(8)))
        assert len(api.requests) == 8 and len(samples) == 8
        with pytest.raises(BudgetSpentError):
            run.sample(spec(api.url, budget={"requests": 8}), [8])
    assert len(api.requests) == 8


def test_a_process_that_is_killed_has_not_counted_too_few(run: Run) -> None:
    with serving() as api:
        source = run.source(spec(api.url, concurrency=4))
        source.sample(np.arange(6))
        # As after SIGKILL: what is not written by now never will be.
        assert 6 <= run.sent <= 9
        source.release(np.arange(6))
    assert run.sent == 6


@pytest.mark.parametrize(
    ("budget", "allowed"),
    [
        ({"requests": 9}, 9),
        ({"requests": 9, "price": 0.1, "money": 0.3}, 3),
        ({"requests": 2, "price": 0.1, "money": 0.3}, 2),
        ({"requests": 9, "price": 0.04, "money": 0}, 0),
    ],
)
def test_money_is_requests(budget: dict[str, Any], allowed: int) -> None:
    assert HttpBudget.model_validate(budget).allowed == allowed


def key(letter: str = "k") -> str:
    return base64.b64encode(letter.encode() * 32).decode()


def test_answers_are_encrypted_under_the_named_key(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IDLEAK_KEY", key())
    with serving() as api:
        given = spec(api.url, keep="evidence", key="{env:IDLEAK_KEY}")
        source = run.source(given)
        samples: list[Any] = source.sample(np.arange(2))
        source.release(np.arange(2))
    files = [path.read_bytes() for path in (run.folder / "answers").iterdir()]
    assert len(files) == 2 and not any(b"PNG" in file or b"IHDR" in file for file in files)
    kept: list[Any] = opened(given, run).sample(np.array([1, 5]))
    assert np.array_equal(kept[0], samples[1])
    assert isinstance(kept[1], InvalidImage) and "not kept" in kept[1].reason
    monkeypatch.setenv("IDLEAK_KEY", key("x"))
    with pytest.raises(SpecError, match="another key"):
        opened(given, run).sample(np.array([1]))
    with pytest.raises(SpecError, match="is encrypted"):
        opened(spec(api.url), run).sample(np.array([1]))


def opened(given: HttpGenerator, run: Run) -> KeptAnswers:
    return open_kept(given, Loading("cpu", 1, run=str(run.folder)))


def test_an_answer_put_in_anothers_place_is_refused(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IDLEAK_KEY", key())
    with serving() as api:
        given = spec(api.url, keep="evidence", key="{env:IDLEAK_KEY}")
        run.sample(given, [0, 1])
    answers = run.folder / "answers"
    (answers / f"{1:012d}").write_bytes((answers / f"{0:012d}").read_bytes())
    with pytest.raises(SpecError, match="damaged"):
        opened(given, run).sample(np.array([1]))


@pytest.mark.parametrize("value", ["", "short", base64.b64encode(b"k" * 31).decode(), "*" * 44])
def test_a_key_that_is_none_is_named_and_not_shown(
    run: Run, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("IDLEAK_KEY", value)
    with pytest.raises(SpecError, match="IDLEAK_KEY") as caught:
        run.source(spec("https://example.org/", keep="evidence", key="{env:IDLEAK_KEY}"))
    assert not value or value not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"url": "http://example.org/"}, "https"),
        ({"url": "https://a:b@example.org/"}, "password"),
        ({"url": "https://{seed}.example.org/"}, "host"),
        ({"url": f"https://example.org/?api_key={CANARY}"}, "looks like a secret"),
        ({"url": "https://example.org/?k={env:A}"}, "servers log it"),
        ({"headers": {"Authorization": f"Bearer {CANARY}"}}, "env:NAME"),
        ({"headers": {"X-Custom": f"Bearer {CANARY}"}}, "env:NAME"),
        ({"body": {"nested": [{"api_key": CANARY}]}}, "body.nested.api_key"),
        ({"body": {"prompt": "{sed}"}}, "sed"),
        ({"image": {"kind": "base64"}}, "pointer"),
        ({"batch": 2}, "position"),
        ({"factors": {"seed": [1]}}, "taken"),
        ({"keep": "evidence"}, "needs a key"),
        ({"key": CANARY}, "key"),
        ({"budget": {"requests": 1, "money": 2}}, "price"),
    ],
)
def test_a_spec_that_is_not_safe_is_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        spec(**({"url": "https://example.org/"} | changes))


def test_a_secret_that_is_missing_is_named(run: Run) -> None:
    with pytest.raises(SpecError, match="IDLEAK_NOT_SET"):
        run.source(spec("https://example.org/", headers={"Authorization": "{env:IDLEAK_NOT_SET}"}))


def test_limits_are_no_part_of_the_fingerprint() -> None:
    url, more = "https://example.org/", {"requests": 5}
    assert fingerprint_fields(spec(url, rate=1)) == fingerprint_fields(spec(url, attempts=9, budget=more))
    assert fingerprint_fields(spec(url)) != fingerprint_fields(spec(url, method="GET"))


def test_the_example_is_a_spec() -> None:
    assert load_spec(ROOT / "examples" / "generators" / "http.yaml").generator.kind == "http"


def test_the_rate_is_kept(run: Run) -> None:
    with serving() as api:
        run.sample(spec(api.url, rate=40, concurrency=8), list(range(40)))
    seconds = api.times[-1] - api.times[0]
    assert seconds >= 37 / 40 and len(api.requests) == 40
