from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from distributed.storage.ledger import Pinned, enter_night, flagged_by, read_ledger
from distributed.storage.store import RunStore
from schemas.errors import DamagedError, WrongRunError

NAMES = [f"person-{index}" for index in range(40)]


SETTINGS = {"membership.topk": "16", "membership.photos": "'auto'"}


def night(
    store: RunStore,
    fingerprint: str,
    first: float,
    alpha: float = 0.05,
    settings: Mapping[str, str] = SETTINGS,
) -> tuple[int, list[str]]:
    p = np.array([first, *np.linspace(0.1, 1.0, 39)])
    pinned = Pinned(alpha, "max of tiny", settings)
    number, ledger = enter_night(store, fingerprint, NAMES, p, pinned)
    return number, flagged_by(ledger, NAMES)


def test_strong_evidence_is_flagged_on_the_first_night_and_stays(tmp_path: Path) -> None:
    store = RunStore(str(tmp_path))
    assert night(store, "a", 1 / 1601) == (1, ["person-0"])
    assert night(store, "b", 0.5) == (2, ["person-0"])
    ledger = read_ledger(store)
    assert ledger is not None and [len(entry.shares) for entry in ledger.nights] == [1, 0]


def test_evidence_that_one_audit_would_flag_alone_does_not_suffice(tmp_path: Path) -> None:
    assert night(RunStore(str(tmp_path)), "a", 1 / 801) == (1, [])


def test_an_audit_is_entered_once(tmp_path: Path) -> None:
    store = RunStore(str(tmp_path))
    assert [night(store, fingerprint, 1 / 1601)[0] for fingerprint in ("a", "b", "a")] == [1, 2, 1]


def test_other_settings_are_refused_and_named_and_leave_the_ledger_as_it_is(tmp_path: Path) -> None:
    store = RunStore(str(tmp_path))
    night(store, "a", 1 / 1601)
    before = store.read("ledger.json")
    with pytest.raises(WrongRunError, match=r"photos is 'auto' there, 2 in this spec\. .* another `ledger`"):
        night(store, "b", 1 / 1601, settings=SETTINGS | {"membership.photos": "2"})
    assert store.read("ledger.json") == before


def test_a_ledger_of_an_earlier_version_takes_the_settings_of_its_next_night(tmp_path: Path) -> None:
    store = RunStore(str(tmp_path))
    night(store, "a", 1 / 1601)
    written = json.loads(store.read("ledger.json"))
    assert written.pop("settings") == SETTINGS
    store.write("ledger.json", json.dumps(written).encode())
    assert night(store, "b", 0.5, settings=SETTINGS | {"membership.topk": "8"}) == (2, ["person-0"])
    with pytest.raises(WrongRunError, match="topk is 8 there, 16 in this spec"):
        night(store, "c", 0.5)


def test_another_rate_and_a_damaged_ledger_are_refused(tmp_path: Path) -> None:
    store = RunStore(str(tmp_path))
    night(store, "a", 0.5)
    with pytest.raises(WrongRunError, match="another `ledger`"):
        night(store, "b", 0.5, alpha=0.1)
    (tmp_path / "ledger.json").write_text("{")
    with pytest.raises(DamagedError, match="restore it"):
        read_ledger(store)
