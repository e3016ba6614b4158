"""Budgets, answers that are kept, and specs of an API that are refused."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from distributed.sampling.api.http_source import KeptAnswers, fingerprint_fields, open_kept
from distributed.sampling.generator import InvalidImage, Loading
from schemas.errors import BudgetSpentError, SpecError
from schemas.spec.generators.http import HttpBudget, HttpGenerator
from schemas.spec.load import load_spec
from tests.support.http_runs import CANARY, Run, api_spec
from tests.support.misbehaving import serving

ROOT = Path(__file__).parents[3]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path / "run")


def test_a_spent_budget_ends_the_run_and_a_larger_one_goes_on(run: Run) -> None:
    with serving() as api:
        with pytest.raises(BudgetSpentError, match="allows 5 requests"):
            run.sample(api_spec(api.url, budget={"requests": 5}), list(range(8)))
        assert len(api.requests) == run.sent == len(run.answers) == 5
        samples = run.sample(api_spec(api.url, budget={"requests": 8}), list(range(8)))
        assert len(api.requests) == 8 and len(samples) == 8
        with pytest.raises(BudgetSpentError):
            run.sample(api_spec(api.url, budget={"requests": 8}), [8])
    assert len(api.requests) == 8


def test_a_process_that_is_killed_has_not_counted_too_few(run: Run) -> None:
    with serving() as api:
        source = run.source(api_spec(api.url, concurrency=4))
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
        given = api_spec(api.url, keep="evidence", key="{env:IDLEAK_KEY}")
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
        opened(api_spec(api.url), run).sample(np.array([1]))


def opened(given: HttpGenerator, run: Run) -> KeptAnswers:
    return open_kept(given, Loading("cpu", 1, run=str(run.folder)))


def test_an_answer_put_in_anothers_place_is_refused(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IDLEAK_KEY", key())
    with serving() as api:
        given = api_spec(api.url, keep="evidence", key="{env:IDLEAK_KEY}")
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
        run.source(api_spec("https://example.org/", keep="evidence", key="{env:IDLEAK_KEY}"))
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
        api_spec(**({"url": "https://example.org/"} | changes))


def test_a_secret_that_is_missing_is_named(run: Run) -> None:
    with pytest.raises(SpecError, match="IDLEAK_NOT_SET"):
        run.source(api_spec("https://example.org/", headers={"Authorization": "{env:IDLEAK_NOT_SET}"}))


def test_limits_are_no_part_of_the_fingerprint() -> None:
    url, more = "https://example.org/", {"requests": 5}
    assert fingerprint_fields(api_spec(url, rate=1)) == fingerprint_fields(
        api_spec(url, attempts=9, budget=more)
    )
    assert fingerprint_fields(api_spec(url)) != fingerprint_fields(api_spec(url, method="GET"))


def test_the_example_is_a_spec() -> None:
    assert load_spec(ROOT / "examples" / "generators" / "http.yaml").generator.kind == "http"


def test_the_rate_is_kept(run: Run) -> None:
    with serving() as api:
        run.sample(api_spec(api.url, rate=40, concurrency=8), list(range(40)))
    seconds = api.times[-1] - api.times[0]
    assert seconds >= 37 / 40 and len(api.requests) == 40
