from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from distributed.storage.ledger import enter_night, flagged_by, read_ledger
from distributed.storage.store import RunStore
from schemas.errors import DamagedError, WrongRunError

NAMES = [f"person-{index}" for index in range(40)]


def night(store: RunStore, fingerprint: str, first: float, alpha: float = 0.05) -> tuple[int, list[str]]:
    p = np.array([first, *np.linspace(0.1, 1.0, 39)])
    number, ledger = enter_night(store, fingerprint, NAMES, p, alpha=alpha, score="max of tiny")
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


def test_another_rate_and_a_damaged_ledger_are_refused(tmp_path: Path) -> None:
    store = RunStore(str(tmp_path))
    night(store, "a", 0.5)
    with pytest.raises(WrongRunError, match="another `ledger`"):
        night(store, "b", 0.5, alpha=0.1)
    (tmp_path / "ledger.json").write_text("{")
    with pytest.raises(DamagedError, match="restore it"):
        read_ledger(store)
