"""What is no image, where an API may lead, and whom it must be."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from distributed.sampling.api.addresses import checked_address
from distributed.sampling.api.http_client import RetryLaterError, retry_after
from distributed.sampling.generator import InvalidImage
from schemas.errors import ModelError
from schemas.run.tables import Outcome
from tests.support.certificates import Authority
from tests.support.http_runs import BASE64, CANARY, Run, api_spec, outcome_of
from tests.support.misbehaving import Answer, good, png, serving


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path / "run")


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
    kept = run.sample(api_spec("http://127.0.0.1:9/", **changes), [0])[0]
    assert isinstance(kept, InvalidImage) and kept.outcome is outcome and run.sent == 1


@pytest.mark.parametrize("target", ["http://169.254.169.254/", "https://10.0.0.1/", "https://93.184.215.14/"])
def test_a_local_api_leads_nowhere_else(run: Run, target: str) -> None:
    with serving(lambda body, number: (302, {"Location": target}, b"")) as api, pytest.raises(ModelError):
        run.sample(api_spec(api.url), [0])
    assert len(api.requests) == 1


def test_redirects_end(run: Run) -> None:
    def answer(body: dict[str, Any], number: int) -> Answer:
        return 302, {"Location": f"/{number}"}, b""

    with serving(answer) as api, pytest.raises(ModelError, match="redirects more than 3"):
        run.sample(api_spec(api.url), [0])
    assert len(api.requests) == 4


@pytest.mark.parametrize(("status", "method"), [(302, "GET"), (307, "POST")])
def test_another_port_is_another_host_and_gets_no_secret(
    run: Run, monkeypatch: pytest.MonkeyPatch, status: int, method: str
) -> None:
    monkeypatch.setenv("IDLEAK_CANARY", CANARY)
    with serving(lambda body, number: good({"seed": 5}, number)) as other:
        there = other.url
        with serving(lambda body, number: (status, {"Location": there}, b"")) as api:
            run.sample(api_spec(api.url, headers={"X-Api-Key": "{env:IDLEAK_CANARY}"}), [0])
        moved: Answer = (status, {"Location": "/there"}, b"")
        with serving(lambda body, number: moved if number == 1 else good({"seed": 5}, 0)) as home:
            run.sample(api_spec(home.url, headers={"X-Api-Key": "{env:IDLEAK_CANARY}"}), [1])
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
        assert not isinstance(run.sample(api_spec(api.url, ca=str(authority.path)), [0])[0], InvalidImage)
        with pytest.raises(RetryLaterError):
            run.sample(api_spec(api.url, attempts=1), [1])
    with serving(tls=authority.server("example.org")) as api, pytest.raises(RetryLaterError):
        run.sample(api_spec(api.url, ca=str(authority.path), attempts=1), [2])
    with pytest.raises(ModelError, match="PEM"):
        run.source(api_spec("https://localhost/", ca=str(tmp_path / "none.pem")))


def test_retry_after_is_seconds_or_a_date() -> None:
    assert retry_after("7") == 7.0
    assert 20 < retry_after(format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)) <= 30
    assert retry_after("soon") == 0.0
