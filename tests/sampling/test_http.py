from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image as PillowImage
from pydantic import ValidationError

from distributed.sampling.addresses import checked_address
from distributed.sampling.generator import InvalidImage
from distributed.sampling.http_source import HttpSource, RetryLaterError, fingerprint_fields, retry_after
from jobs.__main__ import main
from jobs.exit_codes import ExitCode
from schemas.errors import ModelError, SpecError
from schemas.generators.http import HttpGenerator
from schemas.spec import load_spec
from schemas.tables import Outcome
from tests.misbehaving import Answer, good, in_json, png, serving
from tests.small_world import SmallWorld

ROOT = Path(__file__).parents[2]
CANARY = "canary-5f1e0c77"
BASE64 = {"kind": "base64", "pointer": "/data/0/b64"}
CUT_OFF: Answer = (200, {"Content-Length": "9"}, b"x")
BUSY: Answer = (429, {"Retry-After": "1"}, b"")


def spec(url: str, **changes: Any) -> HttpGenerator:
    given = {"kind": "http", "url": url, "body": {"seed": "{seed}"}, "rate": 500} | changes
    return HttpGenerator.model_validate(given)


def outcome(status: int, headers: dict[str, str], content: bytes, **changes: Any) -> Outcome:
    with serving(lambda body, number: (status, headers, content)) as api:
        found = HttpSource(spec(api.url, **changes), 1).sample(np.array([0]))[0]
    assert isinstance(found, InvalidImage)
    return found.outcome


@pytest.mark.parametrize(("answer", "image"), [(good, {}), (in_json, BASE64)])
def test_images_come_in_the_order_of_ids_with_keys_of_their_own(answer: Any, image: dict[str, str]) -> None:
    with serving(answer) as api:
        found = HttpSource(spec(api.url, image=image), 7).sample(np.arange(12))
        HttpSource(spec(api.url, image=image), 7).sample(np.arange(12))
    first, again = api.requests[:12], api.requests[12:]
    seeds = {headers["Idempotency-Key"]: body["seed"] for headers, body in first}
    assert seeds == {headers["Idempotency-Key"]: body["seed"] for headers, body in again}
    assert len(seeds) == 12 and all(0 <= seed < 2**31 for seed in seeds.values())
    expected = {np.asarray(PillowImage.open(io.BytesIO(png(seed)))).tobytes() for seed in seeds.values()}
    assert {np.asarray(one).tobytes() for one in found} == expected
    with serving(answer) as api:
        alone = HttpSource(spec(api.url, image=image), 7).sample(np.array([5]))[0]
    assert np.array_equal(np.asarray(alone), np.asarray(found[5]))


def test_factors_fill_the_body_and_share_the_seed() -> None:
    body = {"seed": "{seed}", "prompt": "a face, {age}"}
    with serving() as api:
        HttpSource(spec(api.url, body=body, factors={"age": ["old", "young"]}), 1).sample(np.arange(2))
    told = [body for _, body in api.requests]
    assert {one["prompt"] for one in told} == {"a face, old", "a face, young"}
    assert len({one["seed"] for one in told}) == 1


@pytest.mark.parametrize("first", [BUSY, (500, {}, b""), CUT_OFF])
def test_what_may_pass_is_tried_again_with_the_same_key(first: Answer) -> None:
    def answer(body: dict[str, Any], number: int) -> Answer:
        return first if number == 1 else good(body, number)

    with serving(answer) as api:
        found = HttpSource(spec(api.url, read_seconds=1), 1).sample(np.array([3]))[0]
    assert not isinstance(found, InvalidImage) and len(api.requests) == 2
    assert len({headers["Idempotency-Key"] for headers, _ in api.requests}) == 1


def test_attempts_end() -> None:
    with serving(lambda body, number: (500, {}, b"")) as api, pytest.raises(RetryLaterError, match="500"):
        HttpSource(spec(api.url, attempts=2), 1).sample(np.array([0]))
    assert len(api.requests) == 2


def test_what_is_no_image_has_its_outcome() -> None:
    assert outcome(200, {"Content-Type": "image/png"}, b"garbage") is Outcome.INVALID_IMAGE
    assert outcome(200, {"Content-Type": "text/html"}, png(1)) is Outcome.INVALID_IMAGE
    assert outcome(200, {}, bytes(5000), answer_bytes=1000) is Outcome.TOO_LARGE
    assert outcome(422, {}, b"", withheld_status=[422]) is Outcome.WITHHELD
    missing = {"kind": "base64", "pointer": "/data/0/b64"}
    assert outcome(200, {}, b'{"data": []}', image=missing) is Outcome.INVALID_IMAGE


@pytest.mark.parametrize("target", ["http://169.254.169.254/", "https://10.0.0.1/", "https://93.184.215.14/"])
def test_a_local_api_leads_nowhere_else(target: str) -> None:
    with serving(lambda body, number: (302, {"Location": target}, b"")) as api, pytest.raises(ModelError):
        HttpSource(spec(api.url), 1).sample(np.array([0]))
    assert len(api.requests) == 1


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "10.1.2.3",
        "169.254.169.254",
        "[::1]",
        "[::ffff:10.0.0.1]",
        "224.0.0.1",
        "[fd00::1]",
        "0.0.0.0",
    ],
)
def test_addresses_that_are_not_public_are_refused(host: str) -> None:
    with pytest.raises(ModelError, match="not allowed"):
        checked_address(httpx.URL(f"https://{host}/"), local=False)


def test_a_public_address_is_allowed_with_https_alone() -> None:
    assert checked_address(httpx.URL("https://93.184.215.14/"), local=False) == "93.184.215.14"
    with pytest.raises(ModelError, match="without https"):
        checked_address(httpx.URL("http://93.184.215.14/"), local=False)


def test_retry_after_is_seconds_or_a_date() -> None:
    assert retry_after("7") == 7.0
    assert 20 < retry_after(format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)) <= 30
    assert retry_after("soon") == 0.0


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"url": "http://example.org/"}, "https"),
        ({"headers": {"Authorization": f"Bearer {CANARY}"}}, "env:NAME"),
        ({"image": {"kind": "base64"}}, "pointer"),
        ({"factors": {"seed": [1]}}, "taken"),
    ],
)
def test_a_spec_that_is_not_safe_is_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        spec(**({"url": "https://example.org/"} | changes))


def test_a_secret_that_is_missing_is_named() -> None:
    with pytest.raises(SpecError, match="IDLEAK_NOT_SET"):
        HttpSource(spec("https://example.org/", headers={"Authorization": "{env:IDLEAK_NOT_SET}"}), 1)


def test_limits_are_no_part_of_the_fingerprint() -> None:
    url = "https://example.org/"
    assert fingerprint_fields(spec(url, rate=1)) == fingerprint_fields(spec(url, rate=2, attempts=9))
    assert fingerprint_fields(spec(url)) != fingerprint_fields(spec(url, method="GET"))


@pytest.mark.usefixtures("ray_session")
@pytest.mark.parametrize("fails", [False, True])
def test_an_audit_asks_once_for_each_sample_and_keeps_no_secret(
    small_world: SmallWorld, tmp_path: Path, capfd: pytest.CaptureFixture[str], fails: bool
) -> None:
    def answer(body: dict[str, Any], number: int) -> Answer:
        return (401, {}, CANARY.encode()) if fails else good(body, number)

    secret = tmp_path / "secret"
    secret.write_text(CANARY, encoding="utf-8")
    with serving(answer) as api:
        headers = {"Authorization": f"Bearer {{file:{secret}}}"}
        generator = spec(api.url, headers=headers).model_dump(mode="json")
        code = main(["audit", str(small_world.spec_path(generator=generator, samples=40, shard_size=20))])
    assert code == (ExitCode.BAD_SPEC if fails else ExitCode.OK)
    assert all(headers["Authorization"] == f"Bearer {CANARY}" for headers, _ in api.requests)
    assert fails or len(api.requests) == 40
    told = "".join(capfd.readouterr())
    assert CANARY not in told and ("401" in told) is fails
    files = [one for one in small_world.run.rglob("*") if one.is_file()]
    assert files and not any(CANARY.encode() in one.read_bytes() for one in files)


def test_the_example_is_a_spec() -> None:
    assert load_spec(ROOT / "examples" / "generators" / "http.yaml").generator.kind == "http"


def test_plan_asks_nothing(small_world: SmallWorld, capsys: pytest.CaptureFixture[str]) -> None:
    with serving() as api:
        generator = spec(api.url).model_dump(mode="json")
        assert main(["plan", str(small_world.spec_path(generator=generator))]) == ExitCode.BAD_SPEC
    assert api.requests == [] and "not probed" in capsys.readouterr().err
